import { queryNumber } from 'service-kit/query';
import { z } from 'zod';

/** The parameters of a list that comes in pages. */
export const pagingFields = {
  limit: queryNumber({ description: 'How many at the most.', minimum: 1, maximum: 1_000 }).default(
    100,
  ),
  cursor: queryNumber({
    description: 'Where to go on; the Link header has it.',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
  }),
};

/** Documents the header of `nextPage`. */
export const linkSchema = z.string().meta({ description: 'The next page, if there is one.' });

/**
 * The value of a `Link` header that leads to the next page, relative to the request: behind a gateway, the
 * path may be another.
 *
 * @param url of the request, whose other parameters are kept
 * @param cursor the place of the last record of this page
 */
export function nextPage(url: string, cursor: number | undefined): string {
  const next = new URL(url, 'http://localhost').searchParams;
  next.set('cursor', String(cursor));
  return `<?${next}>; rel="next"`;
}
