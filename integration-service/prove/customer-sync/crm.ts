import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { request as send } from 'undici';
import type { Systems, Tools } from '../proof.ts';
import { type CrmApi, startCrmApi } from '../systems/crm-api.ts';
import { answerJson, createStandIn } from '../systems/stand-in.ts';
import type { Watch } from '../systems/watch.ts';
import type { CrmCustomer } from './shop-customer.ts';

/**
 * What the CRM does to the first call for every fourth change or read of a customer; it handles later ones
 * normally.
 * - `none`: nothing
 * - `hangs`: stores and never answers; stores at once or, every second time, after the client has given up
 * - `500`: stores, then answers 500
 * - `down`: the CRM is away now and then: nothing listens, connections are refused
 */
export const FAULTS = ['none', 'hangs', '500', 'down'] as const;
export type Fault = (typeof FAULTS)[number];

/** A real crm-api, behind a proxy that brings the faults and notes what crm-api has accepted. */
export interface Crm extends Pick<Systems, 'idle' | 'problems'> {
  /** The URL of the list of customers for the process with this number. */
  urlFor(process: number): string;
  /** How many changes were accepted so far. */
  countAccepted(): number;
  /** The last version that was accepted, of a customer or of a delete; `undefined` if there was none. */
  versionOf(id: string): number | undefined;
  /** Whether a request about this customer is under way, or about any. */
  isBusy(id?: string): boolean;
  /** How many times the CRM accepted a version that was lower than one before. */
  wentBack(id: string): number;
  /** The last process that changed something of a customer; `undefined` if none did. */
  changedBy(id: string): number | undefined;
  /** All customers that crm-api has, itself asked. */
  list(): Promise<CrmCustomer[]>;
  /**
   * Kills crm-api, once it has something to lose, and starts it again, empty.
   *
   * @param onLoss called before that
   */
  loseMemory(onLoss: () => void): Promise<void>;
}

const PATH = '/api/crm/customers';
const DOWN_MS = 1_500;
/** After this many calls, a CRM with the fault `down` goes down again. */
const CALLS_UNTIL_DOWN = 25;
/** One of this many meets with the fault: with more, calls would stop until the CRM seems to work again. */
const FAULTY = 4;
/** A CRM that loses its memory has heard of so many customers. */
const LEAST_LOST = 5;
/** Headers that belong to one connection, or that the proxy writes itself. */
const OWN_HEADERS = ['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'host'];

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

export async function openCrm(
  fault: Fault,
  tools: Pick<Tools, 'timeoutMs' | 'folder' | 'cleanUp' | 'signal'>,
  { called, reach }: Pick<Watch, 'called' | 'reach'>,
): Promise<Crm> {
  const { timeoutMs, cleanUp, folder, signal } = tools;
  // One that the stage ends, too, when crm-api is started again long after the stage was set.
  const ending = cleanUp.use(new AsyncDisposableStack());
  const start = () => startCrmApi({ folder, cleanUp: ending });
  // A unique path: the service of another cell that gets hold of our port must not be mistaken for ours.
  const base = `/${randomUUID()}`;
  const met = new Set<string>();
  const turns = new Map<string, Promise<unknown>>();
  const busy = new Map<string, number>();
  let versions = new Map<string, number>();
  const steppedBack = new Map<string, number>();
  const changers = new Map<string, number>();
  let crmApi: CrmApi = await start();
  let faults = 0;
  let calls = 0;
  let accepted = 0;

  const server = cleanUp.use(
    await createStandIn(async (request, response) => {
      const [, own, by, ...rest] = (request.url ?? '').split('/');
      if (`/${own}` !== base) return answerJson(response, 503, { detail: 'not you' });
      calls += 1;
      if (fault === 'down' && calls % CALLS_UNTIL_DOWN === 0) {
        response.once('close', () => void server.goDown(DOWN_MS));
      }
      const path = `/${rest.join('/')}`;
      const id = /^\/api\/crm\/customers\/([^/?]+)/.exec(path)?.[1];
      if (id === undefined) return answer(response, await passOn(request, path, undefined));
      busy.set(id, (busy.get(id) ?? 0) + 1);
      try {
        await serve(request, response, { id, path, by: Number(by) });
      } finally {
        busy.set(id, (busy.get(id) ?? 0) - 1);
      }
    }),
  );

  async function serve(
    request: IncomingMessage,
    response: ServerResponse,
    { id, path, by }: { id: string; path: string; by: number },
  ): Promise<void> {
    called(by);
    const body = await buffer(request);
    const isRead = request.method === 'GET';
    const version = versionIn(path, body);
    const now = faultOf(`${request.method} ${id} ${version}`);
    if (now === 'hangs' && faults % 2 === 0) await sleep(timeoutMs * 2);
    reach(isRead ? 'reading' : 'storing', by);
    const answered = await inTurn(id, async () => {
      const to = crmApi;
      const passed = await passOn(request, path, body);
      // One that has lost its memory since says nothing of what the CRM holds.
      if (!isRead && passed.status < 300 && to === crmApi) accept(id, version, by);
      return passed;
    });
    reach(isRead ? 'read' : 'stored', by);
    if (!isRead) reach('answering', by);
    if (now === 'hangs') return;
    if (now === '500') return answerJson(response, 500, { detail: 'Internal Server Error' });
    answer(response, answered);
  }

  /** What happens to a call: calls for the same are the same call once more. */
  function faultOf(call: string): Fault {
    if (met.has(call)) return 'none';
    met.add(call);
    if (met.size % FAULTY !== 1 || fault === 'down') return 'none';
    faults += 1;
    return fault;
  }

  /** One request about a customer after the other: crm-api accepts them in the order in which they are noted. */
  function inTurn<Result>(id: string, run: () => Promise<Result>): Promise<Result> {
    const turn = (turns.get(id) ?? Promise.resolve()).then(run, run);
    turns.set(id, turn);
    return turn;
  }

  function accept(id: string, version: number, by: number): void {
    accepted += 1;
    changers.set(id, Math.max(by, changers.get(id) ?? 0));
    if (version < (versions.get(id) ?? 0)) {
      steppedBack.set(id, (steppedBack.get(id) ?? 0) + 1);
    }
    versions.set(id, version);
  }

  async function passOn(
    { method, headers }: IncomingMessage,
    path: string,
    body: Buffer | undefined,
  ): Promise<Answer> {
    const passed = await send(new URL(path, crmApi.url), {
      method: (method ?? 'GET') as 'GET' | 'PUT' | 'DELETE',
      headers: withoutOwn(headers),
      body: body?.length ? body : null,
    });
    return {
      ...{ status: passed.statusCode, headers: withoutOwn(passed.headers) },
      body: Buffer.from(await passed.body.arrayBuffer()),
    };
  }

  const hasUnexpectedEnd = () => crmApi.child.end !== undefined;
  return {
    urlFor: (process) => `${server.origin}${base}/${process}${PATH}`,
    countAccepted: () => accepted,
    versionOf: (id) => versions.get(id),
    isBusy: (id) =>
      id === undefined ? busy.values().some((count) => count > 0) : (busy.get(id) ?? 0) > 0,
    wentBack: (id) => steppedBack.get(id) ?? 0,
    changedBy: (id) => changers.get(id),
    async list() {
      const { statusCode, body } = await send(new URL(PATH, crmApi.url), { signal });
      if (statusCode !== 200) throw new Error(`GET ${PATH}: ${statusCode}`);
      return (await body.json()) as CrmCustomer[];
    },
    async loseMemory(onLoss) {
      while (versions.size < LEAST_LOST) await sleep(50, undefined, { signal });
      onLoss();
      const before = crmApi;
      crmApi = await start();
      versions = new Map();
      await before.child.kill();
    },
    idle: server.idle,
    problems: () =>
      hasUnexpectedEnd() ? [`crm-api ended by itself: ${crmApi.child.logFile}`] : [],
  };
}

function versionIn(path: string, body: Buffer): number {
  return body.length > 0
    ? (JSON.parse(body.toString()) as { version: number }).version
    : Number(new URL(path, 'http://crm').searchParams.get('version'));
}

function withoutOwn(headers: IncomingMessage['headers']): Record<string, string> {
  const own = Object.entries(headers).filter(([name]) => !OWN_HEADERS.includes(name));
  return Object.fromEntries(own.map(([name, value]) => [name, String(value)]));
}

function answer(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers);
  response.end(body);
}
