/**
 * Whether a client would rather have a page than JSON, by the `q` of its `Accept` header (RFC 9110, section
 * 12.5.1): a browser would; who says nothing, takes everything alike, or likes both as much would not.
 */
export function prefersHtml(accept: string | undefined): boolean {
  const ranges = (accept ?? '*/*').split(',').map(parseRange);
  /** Of the ranges that a type is in, the most specific counts. */
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
