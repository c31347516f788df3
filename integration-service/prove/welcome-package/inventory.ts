import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, InventoryKind } from '../fault.ts';
import type { InventoryStep, Kill } from '../kill-point.ts';
import { answerJson, createStandIn, readJson } from '../systems/stand-in.ts';

export interface InventoryOptions {
  kind: InventoryKind;
  /** What happens to the first call for every second customer, beginning with the first. */
  fault: Fault;
  /** How long the client waits for an answer. */
  timeoutMs: number;
  /** Called when the armed kill is due, with the number of the process that made the call. */
  onKill: (processNumber: number) => void;
  /** Breaks a guarantee on purpose, to test that the prover notices it. */
  sabotage?: Sabotage | undefined;
}

/** `loses`: claims to have the first package but does not. `doubles`: makes the first package twice. */
export type Sabotage = 'loses' | 'doubles';

export interface Inventory {
  /** The URL of the inventory for the process with this number. */
  urlFor(processNumber: number): string;
  /** Number of packages of a customer. */
  count(customerId: string): number;
  /** Number of all packages. */
  size(): number;
  /** When the first call after `time` came, ignoring the process `except`; by `performance.now()`. */
  firstCallAfter(time: number, except: number | undefined): number | undefined;
  /**
   * Starts counting towards a kill. With a process number, only calls of that process count, not requests
   * that an earlier process left under way.
   */
  arm(kill: Kill<InventoryStep>, processNumber?: number): void;
  /** When the last of these customers got its first package; by `performance.now()`. */
  servedAt(customerIds: string[]): number | undefined;
  /** Resolves when all requests are done, including late commits. */
  idle(): Promise<void>;
  close(): void;
}

interface Armed extends Kill<InventoryStep> {
  processNumber: number | undefined;
}

interface PackageRequest {
  request_id: string;
  customer_id: string;
}

const DOWN_MS = 1_500;
/** After this many calls for packages, an inventory with the fault `down` goes down again. */
const CALLS_UNTIL_DOWN = 10;

/** An inventory that stores packages and handles some requests badly. */
export async function createInventory(options: InventoryOptions): Promise<Inventory> {
  const { kind, fault, timeoutMs, onKill, sabotage } = options;
  // A unique path: the service of another cell that gets hold of our port must not be mistaken for ours.
  const base = `/${randomUUID()}`;
  const requests: PackageRequest[] = [];
  const counts = new Map<string, number>();
  const byKey = new Map<string, PackageRequest>();
  const asked = new Set<string>();
  const calls: { by: number; at: number }[] = [];
  const firstStoredAt = new Map<string, number>();
  let armed: Armed | undefined;
  let posts = 0;
  let faults = 0;
  let hasListed = false;

  const server = await createStandIn(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://inventory');
    if (!url.pathname.startsWith(base)) return answerJson(response, 503, { detail: 'not you' });
    const by = Number(url.pathname.split('/')[2]);
    calls.push({ by, at: performance.now() });
    if (request.method === 'GET') return list(url, response);
    await take(request, response, by);
  });

  function list(url: URL, response: ServerResponse): void {
    const customerId = kind === 'keyed' ? url.searchParams.get('customer_id') : null;
    const listed = requests.filter((each) => !customerId || each.customer_id === customerId);
    // The answer must be sent before the connections are cut.
    response.once('close', () => {
      if (fault === 'down' && !hasListed) void server.goDown(DOWN_MS);
      hasListed = true;
    });
    answerJson(response, 200, listed);
  }

  async function take(request: IncomingMessage, response: ServerResponse, by: number) {
    const { customer_id: customerId } = (await readJson(request)) as { customer_id: string };
    const doesFault = !asked.has(customerId) && asked.size % 2 === 0;
    const now = doesFault ? fault : 'none';
    if (doesFault) faults += 1;
    const isLate = faults % 2 === 0;
    asked.add(customerId);
    posts += 1;
    const isGoingDown = fault === 'down' && posts % CALLS_UNTIL_DOWN === 0;
    const reach = (step: InventoryStep) => {
      if (armed?.step !== step || (armed.processNumber ?? by) !== by) return;
      armed.nth -= 1;
      if (armed.nth === 0) onKill(by);
    };

    if (now === 'slow') await sleep(timeoutMs * 0.4);
    if (now === 'hangs' && isLate) await sleep(timeoutMs * 2);
    let stored: { request: PackageRequest; isReplay: boolean } | undefined;
    if (now !== '502' && now !== '429') {
      reach('storing');
      stored = store(customerId, request.headers['idempotency-key']);
      reach('stored');
    }
    if (now === 'slow') await sleep(timeoutMs * 0.3);
    reach('answering');
    if (now === 'hangs') return;
    if (now === 'drops') return void response.socket?.resetAndDestroy();
    if (now === '500') return answerJson(response, 500, { detail: 'Internal Server Error' });
    if (!stored) {
      return answerJson(response, Number(now), { detail: 'not now' }, { 'retry-after': '1' });
    }
    if (isGoingDown) response.once('close', () => void server.goDown(DOWN_MS));
    const replayed: Record<string, string> = stored.isReplay
      ? { 'idempotency-replayed': 'true' }
      : {};
    answerJson(response, 201, stored.request, replayed);
  }

  /** Synchronous, so it is atomic like a transaction. */
  function store(customerId: string, header: string | string[] | undefined) {
    const key = kind === 'keyed' ? header?.toString() : undefined;
    const known = key === undefined ? undefined : byKey.get(key);
    if (known) return { request: known, isReplay: true };
    const request = {
      request_id: randomUUID(),
      customer_id: customerId,
      package_type: 'welcome_package',
      status: 'pending',
      created_at: new Date().toISOString(),
    };
    if (key !== undefined) byKey.set(key, request);
    if (!firstStoredAt.has(customerId)) firstStoredAt.set(customerId, performance.now());
    const isFirst = asked.size === 1;
    if (!(sabotage === 'loses' && isFirst)) keep(request);
    if (sabotage === 'doubles' && isFirst) keep({ ...request, request_id: randomUUID() });
    return { request, isReplay: false };
  }

  function keep(request: PackageRequest): void {
    requests.push(request);
    counts.set(request.customer_id, (counts.get(request.customer_id) ?? 0) + 1);
  }

  return {
    urlFor: (processNumber) => `${server.origin}${base}/${processNumber}/package-requests`,
    count: (customerId) => counts.get(customerId) ?? 0,
    size: () => requests.length,
    firstCallAfter: (time, except) => calls.find(({ by, at }) => at >= time && by !== except)?.at,
    arm(kill, processNumber) {
      armed = { ...kill, processNumber };
    },
    servedAt(customerIds) {
      const times = customerIds.map((id) => firstStoredAt.get(id) ?? Number.POSITIVE_INFINITY);
      const last = Math.max(...times);
      return Number.isFinite(last) ? last : undefined;
    },
    idle: server.idle,
    close: server.close,
  };
}
