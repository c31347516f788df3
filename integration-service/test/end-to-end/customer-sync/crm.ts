import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { buildApp } from '../../../../crm-api/src/app.ts';
import type { CrmCustomer } from '../../../src/customer-sync/mapper.ts';

export const RECORDS = '/api/crm/customers';

export interface CrmRequest {
  method: string;
  /** Path and query. */
  url: string;
  body: string;
  headers: IncomingMessage['headers'];
}

export interface CrmAnswer {
  status: number;
  headers?: Record<string, string>;
  body?: string | object;
}

/**
 * What to answer instead of crm-api; `store` lets crm-api do it all the same. `hang`: the answer never comes; `cut`:
 * the connection ends; `undefined`: crm-api answers.
 */
type Fault = (
  request: CrmRequest,
  store: () => Promise<CrmAnswer>,
) => Promise<CrmAnswer | 'hang' | 'cut' | undefined> | CrmAnswer | 'hang' | 'cut' | undefined;

/** The code of crm-api behind a real server on loopback that can fail in every way. It ends with the test. */
export async function startCrm() {
  const build = () => buildApp({ log: pino({ level: 'silent' }) });
  let app = await build();
  let fault: Fault = () => undefined;
  const requests: CrmRequest[] = [];

  async function ask({ method, url, body: payload, headers }: CrmRequest) {
    const { host: _, 'content-length': __, ...kept } = headers;
    const response = await app.inject({
      ...{ method: method as 'GET', url, headers: kept },
      ...(payload && { payload }),
    });
    const { 'content-length': ___, connection: ____, ...shown } = response.headers;
    return {
      status: response.statusCode,
      headers: shown as Record<string, string>,
      body: response.body,
    };
  }

  const server = createServer(async (incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming;
    const request = { method, url, headers, body: await text(incoming) };
    requests.push(request);
    const store = () => ask(request);
    const answer = (await fault(request, store)) ?? (await store());
    if (answer === 'hang') return;
    if (answer === 'cut') return outgoing.destroy();
    const { status, headers: given, body = '' } = answer;
    outgoing.writeHead(status, given).end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const stop = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  const port = await listen(0);
  onTestFinished(async () => {
    await stop();
    await app.close();
  });

  return {
    url: new URL(`http://127.0.0.1:${port}${RECORDS}`),
    /** What has come, in order. */
    requests,
    /** The writes that have come, as `PUT 1` or `DELETE 2`: method and version. */
    writes: (): string[] =>
      requests
        .filter(({ method }) => method !== 'GET')
        .map(({ method, url, body }) => {
          const version = /version=(\d+)/.exec(url)?.[1] ?? JSON.parse(body).version;
          return `${method} ${version}`;
        }),
    /** Answers differently from now on. Default: as crm-api does. */
    fail(how: Fault = () => undefined): void {
      fault = how;
    },
    stop,
    start: () => listen(port),
    /** Loses its memory, as when it is started again. */
    async forget(): Promise<void> {
      await app.close();
      app = await build();
    },
    /** What it has, past every fault. */
    customers: async (): Promise<CrmCustomer[]> =>
      JSON.parse((await ask({ method: 'GET', url: RECORDS, body: '', headers: {} })).body),
    /** A write or delete by somebody else, past every fault. */
    edit: (method: 'PUT' | 'DELETE', id: string, body?: object) =>
      ask({
        ...{ method, url: `${RECORDS}/${id}`, body: body ? JSON.stringify(body) : '' },
        headers: body ? { 'content-type': 'application/json' } : {},
      }),
  };
}

export type Crm = Awaited<ReturnType<typeof startCrm>>;
