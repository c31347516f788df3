/**
 * Whether a client prefers a page to JSON, by the `q` values of its `Accept` header (RFC 9110, section
 * 12.5.1). True for a browser; false for a client that sends no such header or rates both the same.
 */
export function prefersHtml(accept: string | undefined): boolean {
  const ranges = (accept ?? '*/*').split(',').map(parseRange);
  /** The most specific of the ranges that match a type decides. */
  const qualityOf = (...rangesOfType: string[]) =>
    rangesOfType.map((name) => ranges.find((range) => range.name === name)).find(Boolean)?.q ?? 0;
  return (
    qualityOf('text/html', 'text/*', '*/*') > qualityOf('application/json', 'application/*', '*/*')
  );
}

function parseRange(text: string): { name: string; q: number } {
  const [name = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const q = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
  return { name, q: q === undefined ? 1 : Number(q) || 0 };
}
