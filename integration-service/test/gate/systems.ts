import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** What can be broken, to see that the gate notices. */
export const BREAKAGES = [
  'the inventory is called repeatable',
  'the CRM has no version guard',
  'the CRM keeps no tombstones',
  'the file is not cut to its committed length',
  'the length is committed apart from the rows',
  'a delete does not end its lane',
] as const;
export type Breakage = (typeof BREAKAGES)[number];

interface Stored {
  version: number;
  email: string;
}

/** A sequence of numbers from 0 to below 1 that is the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

/**
 * A CRM that keeps the latest version of each customer and an inventory that knows no idempotency keys. They
 * fail in every way that HTTP allows: without effect, with effect and without an answer, and with an effect
 * that comes long after the caller has given up.
 */
export function createSystems(seed: number, breakage?: Breakage) {
  const random = randomOf(seed);
  const crm = new Map<string, Stored>();
  const tombstones = new Map<string, number>();
  const packages: string[] = [];
  const late: (() => number)[] = [];
  let isFaulty = true;

  function isOlder(id: string, version: number): boolean {
    if (breakage === 'the CRM has no version guard') return false;
    return version < Math.max(crm.get(id)?.version ?? 0, tombstones.get(id) ?? 0);
  }

  function put(id: string, stored: Stored): number {
    if (isOlder(id, stored.version)) return 412;
    crm.set(id, stored);
    return 200;
  }

  function remove(id: string, version: number): number {
    if (isOlder(id, version)) return 412;
    crm.delete(id);
    if (breakage !== 'the CRM keeps no tombstones') tombstones.set(id, version);
    return 204;
  }

  function order(customerId: string): number {
    packages.push(customerId);
    return 201;
  }

  /** What the request does, as a function that does it and returns the status of the answer. */
  async function effectOf(request: IncomingMessage): Promise<() => number> {
    const url = new URL(request.url ?? '', 'http://localhost');
    const id = url.pathname.split('/').at(-1) ?? '';
    if (request.method === 'DELETE')
      return () => remove(id, Number(url.searchParams.get('version')));
    const body = JSON.parse(String(await once(request, 'data')));
    return request.method === 'PUT' ? () => put(id, body) : () => order(body.customer_id);
  }

  return {
    crm,
    packages,
    /** From now on, nothing fails. */
    calmDown(): void {
      isFaulty = false;
    },
    /** Every change of a customer that was ever sent arrives, once more or at last. */
    arrive(): void {
      for (const take of late.splice(0)) take();
    },
    async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
      if (request.method === 'GET') {
        const list = request.url?.startsWith('/crm')
          ? [...crm].map(([id, stored]) => ({ id, ...stored }))
          : packages.map((customer_id) => ({ customer_id }));
        response.end(JSON.stringify(list));
        return;
      }
      const take = await effectOf(request);
      if (request.method === 'PUT') late.push(take);
      const fate = isFaulty ? random() : 1;
      if (fate < 0.1) response.writeHead(503).end();
      else if (fate < 0.25) {
        take();
        response.destroy();
      } else if (fate < 0.35 || (fate < 0.55 && request.method === 'PUT')) response.destroy();
      else response.writeHead(take()).end();
    },
  };
}
