import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Systems, Tools } from '../proof.ts';
import { answerJson, createStandIn } from '../systems/stand-in.ts';
import { createWatch } from '../systems/watch.ts';

/**
 * What the inventory does to the first request for a customer; it handles later ones normally.
 * - `none`: stores and answers 201
 * - `drops`: stores, then resets the connection
 * - `hangs`: never answers; stores at once or, every second time, after the client has given up
 * - `500`: stores, then answers 500
 * - `502`: answers 502 and stores nothing
 * - `429`: answers 429 with `Retry-After: 1` and stores nothing
 * - `slow`: stores after a while and answers later still, within the client's time-out. It stores even if
 *   the client is gone by then
 * - `down`: the inventory has stopped: nothing listens, connections are refused
 */
export const FAULTS = ['none', 'drops', 'hangs', '500', '502', '429', 'slow', 'down'] as const;
export type Fault = (typeof FAULTS)[number];

/**
 * - `keyed`: honours `Idempotency-Key` and `?customer_id=`
 * - `plain`: ignores both; it lists everything, and each request makes another package
 */
export const INVENTORY_KINDS = ['keyed', 'plain'] as const;
export type InventoryKind = (typeof INVENTORY_KINDS)[number];

export interface Inventory
  extends Pick<Systems, 'effects' | 'arm' | 'firstCallAfter' | 'idle'>,
    Disposable {
  /** The URL of the inventory for the process with this number. */
  urlFor(process: number): string;
}

interface PackageRequest {
  request_id: string;
  customer_id: string;
}

const DOWN_MS = 1_500;
/** After this many calls for packages, an inventory with the fault `down` goes down again. */
const CALLS_UNTIL_DOWN = 10;

/** An inventory that stores packages. Its fault meets every second customer, beginning with the first. */
export async function createInventory(
  kind: InventoryKind,
  fault: Fault,
  { timeoutMs, kill }: Pick<Tools, 'timeoutMs' | 'kill'>,
): Promise<Inventory> {
  // A unique path: the service of another cell that gets hold of our port must not be mistaken for ours.
  const base = `/${randomUUID()}`;
  /** By customer; empty if nothing was stored for a customer yet. */
  const requests = new Map<string, PackageRequest[]>();
  const byKey = new Map<string, PackageRequest>();
  const { called, reach, arm, firstCallAfter } = createWatch(kill);
  let posts = 0;
  let faults = 0;
  let hasListed = false;

  const server = await createStandIn(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://inventory');
    if (!url.pathname.startsWith(base)) return answerJson(response, 503, { detail: 'not you' });
    const by = Number(url.pathname.split('/')[2]);
    called(by);
    if (request.method === 'GET') return list(url, response);
    await take(request, response, by);
  });

  function list(url: URL, response: ServerResponse): void {
    const customerId = kind === 'keyed' && url.searchParams.get('customer_id');
    const listed = customerId ? (requests.get(customerId) ?? []) : [...requests.values()].flat();
    if (fault === 'down' && !hasListed) goDownAfter(response);
    hasListed = true;
    answerJson(response, 200, listed);
  }

  async function take(request: IncomingMessage, response: ServerResponse, by: number) {
    const { customer_id: customerId } = (await json(request)) as { customer_id: string };
    const hasFault = !requests.has(customerId) && requests.size % 2 === 0;
    const now = hasFault ? fault : 'none';
    if (hasFault) faults += 1;
    const isLate = faults % 2 === 0;
    requests.getOrInsert(customerId, []);
    posts += 1;
    const isGoingDown = fault === 'down' && posts % CALLS_UNTIL_DOWN === 0;

    if (now === 'slow') await sleep(timeoutMs * 0.4);
    if (now === 'hangs' && isLate) await sleep(timeoutMs * 2);
    if (now === '502' || now === '429') {
      reach('answering', by);
      return answerJson(response, Number(now), { detail: 'not now' }, { 'retry-after': '1' });
    }
    reach('storing', by);
    const { stored, headers } = store(customerId, request.headers['idempotency-key']?.toString());
    reach('stored', by);
    if (now === 'slow') await sleep(timeoutMs * 0.3);
    reach('answering', by);
    if (now === 'hangs') return;
    if (now === 'drops') return void response.socket?.resetAndDestroy();
    if (now === '500') return answerJson(response, 500, { detail: 'Internal Server Error' });
    if (isGoingDown) goDownAfter(response);
    answerJson(response, 201, stored, headers);
  }

  /** The answer must be sent before the connections are cut. */
  function goDownAfter(response: ServerResponse): void {
    response.once('close', () => void server.goDown(DOWN_MS));
  }

  /** Synchronous, so it is atomic like a transaction. */
  function store(customer_id: string, key: string | undefined) {
    const known = kind === 'keyed' && key !== undefined ? byKey.get(key) : undefined;
    if (known) return { stored: known, headers: { 'idempotency-replayed': 'true' } };
    const created_at = new Date().toISOString();
    const fixed = { package_type: 'welcome_package', status: 'pending' };
    const stored = { request_id: randomUUID(), customer_id, ...fixed, created_at };
    if (key !== undefined) byKey.set(key, stored);
    requests.get(customer_id)?.push(stored);
    return { stored, headers: {} };
  }

  return {
    urlFor: (process) => `${server.origin}${base}/${process}/package-requests`,
    effects: (customerId) => requests.get(customerId)?.length ?? 0,
    ...{ arm, firstCallAfter },
    idle: server.idle,
    [Symbol.dispose]: server[Symbol.dispose],
  };
}
