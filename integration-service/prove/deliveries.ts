import { z } from 'zod';
import type { Status } from '../src/delivery/delivery.ts';

const deliveriesSchema = z.array(z.object({ lane: z.string(), status: z.string() }));

const historySchema = z.object({
  history: z.array(
    z.object({
      at: z.string(),
      what: z.string(),
      attempt: z.number().nullable(),
      status_code: z.number().nullable(),
      reason: z.string().nullable(),
    }),
  ),
});

/**
 * The status of each customer's welcome package, as the service reports it. Rejects if it does not answer.
 */
export async function readStatuses(
  service: string,
  signal: AbortSignal,
): Promise<Map<string, Status>> {
  const statuses = new Map<string, Status>();
  let url: URL | undefined = new URL('/deliveries?limit=1000', service);
  while (url) {
    const response = await get(url, signal);
    for (const { lane, status } of deliveriesSchema.parse(await response.json())) {
      statuses.set(lane, status as Status);
    }
    const next = /^<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    url = next === undefined ? undefined : new URL(next, url);
  }
  return statuses;
}

/** The history of a customer's welcome package, one line per event. */
export async function readHistory(
  service: string,
  customerId: string,
  signal: AbortSignal,
): Promise<string[]> {
  const response = await get(`${service}/deliveries/welcome-package/${customerId}`, signal);
  const { history } = historySchema.parse(await response.json());
  return history.map(({ at, what, attempt, status_code, reason }) =>
    [at, what, attempt && `(attempt ${attempt})`, status_code, reason].filter(Boolean).join(' '),
  );
}

async function get(url: string | URL, signal: AbortSignal): Promise<Response> {
  const response = await fetch(url, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]),
  });
  if (!response.ok) throw new Error(`GET ${url}: ${response.status} ${await response.text()}`);
  return response;
}
