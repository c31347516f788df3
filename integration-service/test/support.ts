import { EventEmitter, on } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net';
import { HttpRequestInterceptor } from '@mswjs/interceptors/http';
import { HttpResponse, http, type JsonBodyType } from 'msw';
import { defineNetwork, InterceptorSource } from 'msw/experimental';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, onTestFinished } from 'vitest';
import { createMemoryLedger } from '../src/delivery/ledger.ts';
import { createHttpClient } from '../src/http-client.ts';
import { createPollerMetrics } from '../src/metrics.ts';
import { createCrmClient } from '../src/welcome-package/crm-client.ts';
import { createInventoryClient } from '../src/welcome-package/inventory-client.ts';
import { createPoller } from '../src/welcome-package/poller.ts';

export const CRM_URL = 'http://crm.test/customers';
export const INVENTORY_URL = 'http://inventory.test/package-requests';

export const ALICE = {
  name: 'Alice',
  email: 'alice@example.com',
  id: 'c3e8e5a6-3d7c-4c6c-8f3e-4d4b1a1b1a1a',
  created_at: '2023-10-27T10:00:00Z',
};
export const BOB = {
  name: 'Bob',
  email: 'bob@example.com',
  id: 'b2a1b2c3-d4e5-46a7-b8c9-d0e1f2a3b4c5',
  created_at: '2023-10-27T11:00:00Z',
};

/**
 * Answers requests in place of servers, for the tests of the file that calls it. It intercepts at the
 * socket, so that what is tested is the HTTP client that runs.
 */
export function mockNetwork() {
  const network = defineNetwork({
    sources: [new InterceptorSource({ interceptors: [new HttpRequestInterceptor()] })],
    onUnhandledFrame: 'error',
    context: { quiet: true },
  });
  beforeAll(() => network.enable());
  afterEach(() => network.resetHandlers());
  afterAll(() => network.disable());
  return network;
}

/** The CRM lists these customers. */
export function crmLists(customers: JsonBodyType) {
  return http.get(CRM_URL, () => HttpResponse.json(customers));
}

/** The inventory takes every request; the ids it was asked for, in their order, go into `asked`. */
export function inventoryTakes(asked: string[]) {
  return http.post<never, { customer_id: string }>(INVENTORY_URL, async ({ request }) => {
    asked.push((await request.json()).customer_id);
    return new HttpResponse(null, { status: 201 });
  });
}

/** A log whose lines can be looked at and waited for. */
export function captureLog() {
  const lines: { level: number; msg: string }[] = [];
  const events = new EventEmitter();
  const log = pino(
    { level: 'debug' },
    {
      write(text: string) {
        lines.push(JSON.parse(text));
        events.emit('line');
      },
    },
  );
  const messages = (level?: 'info' | 'warn' | 'error') =>
    lines
      .filter((line) => !level || line.level === pino.levels.values[level])
      .map(({ msg }) => msg);
  return {
    log,
    messages,
    /** Resolves when `count` lines with this text have been written since the beginning. */
    async until(text: string, count = 1) {
      const lineEvents = on(events, 'line');
      while (messages().filter((msg) => msg.includes(text)).length < count) await lineEvents.next();
    },
  };
}

export interface PollerTestOptions {
  delivered?: string[];
  crmUrl?: string;
  inventoryUrl?: string;
  maxRetries?: number;
  retryDelayMs?: number;
  requestTimeoutMs?: number;
  maxResponseBytes?: number;
  pollingIntervalMs?: number;
  concurrency?: number;
}

/** A poller with all its real parts; it is stopped when the test ends. */
export function setUpPoller(options: PollerTestOptions = {}) {
  const { log, ...logged } = captureLog();
  const { concurrency = 16, pollingIntervalMs = 10_000 } = options;
  const delivered = new Set(options.delivered);
  const registry = new Registry();
  const client = createHttpClient({
    connections: concurrency,
    timeoutMs: options.requestTimeoutMs ?? 5_000,
  });
  const poller = createPoller({
    crm: createCrmClient({
      http: client,
      url: new URL(options.crmUrl ?? CRM_URL),
      maxRetries: options.maxRetries ?? 3,
      retryDelayMs: options.retryDelayMs ?? 0,
      maxResponseBytes: options.maxResponseBytes ?? 256_000_000,
      log,
    }),
    inventory: createInventoryClient({
      http: client,
      url: new URL(options.inventoryUrl ?? INVENTORY_URL),
      log,
    }),
    ledger: createMemoryLedger(delivered),
    metrics: createPollerMetrics(registry),
    log,
    pollingIntervalMs,
    concurrency,
  });
  onTestFinished(async () => {
    await poller.stop();
    await client.close();
  });
  return { poller, delivered, registry, ...logged };
}

/** A real HTTP server on loopback that ends with the test; the result is its URL. */
export function startHttpServer(listener: RequestListener): Promise<string> {
  return listen(createServer(listener));
}

/** A real TCP server on loopback that ends with the test, for answers no HTTP server would give. */
export function startTcpServer(listener: (socket: Socket) => void): Promise<string> {
  return listen(createTcpServer(listener));
}

async function listen(server: Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
