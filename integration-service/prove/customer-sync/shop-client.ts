import { setTimeout as sleep } from 'node:timers/promises';
import { readPages } from '../pages.ts';
import type { Tools } from '../proof.ts';
import { wholeNumberFrom } from '../random.ts';
import type { Watch } from '../systems/watch.ts';
import type { ShopCustomer, ShopInput } from './shop-customer.ts';

/** The answer to a request, or `undefined` if there is none: the request may have been carried out. */
export type Answer = { status: number; customer?: ShopCustomer | undefined } | undefined;

/** Uses the shop's API as its clients do, at any process that listens. */
export interface ShopClient {
  create(input: ShopInput): Promise<Answer>;
  /** @param version for `If-Match`. Default: any */
  replace(id: string, input: ShopInput, version?: number): Promise<Answer>;
  remove(id: string): Promise<Answer>;
  get(id: string): Promise<Answer>;
  /** All customers, page by page; `undefined` if that does not succeed. */
  list(): Promise<ShopCustomer[] | undefined>;
}

const PATH = '/api/customers';
const TIMEOUT_MS = 10_000;
/** About as long as the service takes for an answer. */
const ANSWER_MS = 8;

export function createShopClient(
  { untilListening, random, signal }: Pick<Tools, 'untilListening' | 'random' | 'signal'>,
  { reach }: Pick<Watch, 'reach'>,
): ShopClient {
  async function call(path: string, init: RequestInit = {}): Promise<Answer> {
    const processes = await untilListening();
    const chosen = processes[wholeNumberFrom(random, 0, processes.length - 1)];
    if (!chosen) return undefined;
    const under = sleep(random() * ANSWER_MS).then(() => reach('requested', chosen.number));
    const answer = await send(new URL(path, chosen.url), init);
    await under;
    if (answer) reach('answered', chosen.number);
    return answer;
  }

  async function send(url: URL, init: RequestInit): Promise<Answer> {
    try {
      const response = await fetch(url, {
        ...init,
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      const { status } = response;
      if (status === 204) return { status };
      return { status, customer: (await response.json()) as ShopCustomer };
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  }

  const write = (method: string, input: ShopInput, version?: number): RequestInit => ({
    method,
    headers: {
      'content-type': 'application/json',
      ...(version !== undefined && { 'if-match': `"${version}"` }),
    },
    body: JSON.stringify(input),
  });

  return {
    create: (input) => call(PATH, write('POST', input)),
    replace: (id, input, version) => call(`${PATH}/${id}`, write('PUT', input, version)),
    remove: (id) => call(`${PATH}/${id}`, { method: 'DELETE' }),
    get: (id) => call(`${PATH}/${id}`),
    async list() {
      const [service] = await untilListening();
      if (!service) return undefined;
      const rows = readPages(new URL(`${PATH}?limit=1000`, service.url), signal);
      return rows.then(
        (all) => all as ShopCustomer[],
        () => undefined,
      );
    },
  };
}
