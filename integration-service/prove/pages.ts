const TIMEOUT_MS = 10_000;

/** Reads a list of the service, page by page. Rejects if a page cannot be had. */
export async function readPages(first: URL, signal: AbortSignal): Promise<unknown[]> {
  const all: unknown[] = [];
  for (let url: URL | undefined = first; url; ) {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const response: Response = await fetch(url, { signal: AbortSignal.any([signal, timeout]) });
    const page: unknown = await response.json();
    if (!response.ok || !Array.isArray(page)) throw new Error(`GET ${url}: ${response.status}`);
    all.push(...page);
    const next = /^<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    url = next === undefined ? undefined : new URL(next, url);
  }
  return all;
}
