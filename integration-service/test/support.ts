import { EventEmitter, on, once } from 'node:events';
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
import { type Logger, pino } from 'pino';
import { Registry } from 'prom-client';
import { parseEnvironment } from 'service-kit/environment';
import { afterAll, afterEach, beforeAll, onTestFinished } from 'vitest';
import type { Status } from '../src/delivery/delivery.ts';
import { createDeliveryMetrics } from '../src/delivery/dispatch/metrics.ts';
import { createPause } from '../src/delivery/dispatch/pauses.ts';
import type { EngineEvent, OnEvent } from '../src/delivery/engine-event.ts';
import { type Flow, ONE_BY_ONE, type Policy } from '../src/delivery/flow.ts';
import { createEventMetrics, createPollMetrics } from '../src/delivery/ingest/metrics.ts';
import type { Poller } from '../src/delivery/ingest/poller.ts';
import type { Ledger, LedgerLocation } from '../src/delivery/ledger/ledger.ts';
import type { FlowMigrations } from '../src/delivery/ledger/migrations.ts';
import { openLedger } from '../src/delivery/ledger/open-ledger.ts';
import type { FlowParts } from '../src/flow-parts.ts';
import { FLOW_MIGRATIONS } from '../src/flows.ts';
import { createHttpClient } from '../src/http/client.ts';
import { openFlow } from '../src/open-flow.ts';
import { welcomePackageEnvironment } from '../src/welcome-package/environment.ts';
import { createFlow } from '../src/welcome-package/flow.ts';

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
 * Answers requests instead of servers, for the tests of the calling file. It intercepts at the socket, so
 * that the tests run the real HTTP client.
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

/** A pause of a system that is not stored in a ledger. */
export function pauseOf(system: string, log: Logger) {
  const ledger = { readPause: async () => undefined, savePause: async () => {} };
  return createPause({ system, ledger, log, now: Date.now, monotonicNow: () => performance.now() });
}

/** Makes the CRM list these customers. */
export function crmLists(customers: JsonBodyType) {
  return http.get(CRM_URL, () => HttpResponse.json(customers));
}

/** A package request as an inventory stores and returns it. */
export function packageRequest(customerId: string, requestId = `request-of-${customerId}`) {
  return {
    customer_id: customerId,
    package_type: 'welcome_package',
    request_id: requestId,
    status: 'pending',
    created_at: '2026-01-01T12:01:00.000Z',
  };
}

/**
 * An inventory that accepts every request and lists what it accepted. It adds the ids that it was asked
 * for to `asked`, in order. It supports neither idempotency keys nor filters.
 */
export function inventoryTakes(asked: string[]) {
  return [
    http.post<never, { customer_id: string }>(INVENTORY_URL, async ({ request }) => {
      const { customer_id } = await request.json();
      asked.push(customer_id);
      return HttpResponse.json(packageRequest(customer_id), { status: 201 });
    }),
    http.get(INVENTORY_URL, () => HttpResponse.json(asked.map((id) => packageRequest(id)))),
  ];
}

/** A log whose lines a test can read and wait for. */
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

export interface ServiceTestOptions {
  ledger?: LedgerLocation;
  crmUrl?: string;
  inventoryUrl?: string;
  maxRetries?: number;
  retryDelayMs?: number;
  requestTimeoutMs?: number;
  maxResponseBytes?: number;
  pollingIntervalMs?: number;
  sweepIntervalMs?: number;
  concurrency?: number;
  maxAttempts?: number;
  surgeLimit?: number;
  /** The monotonic clock moves only when the test advances it: every call seems to take no time. */
  isClockStill?: boolean;
  /** Returns a number from 0 to below 1. Default: always 0, so that nothing waits for its next attempt. */
  random?: () => number;
  webhookSecrets?: Buffer[];
  /** Unix time in milliseconds. Default: the real time. */
  now?: () => number;
  /** Default: a polling interval. */
  surgeWindowMs?: number;
  /** Methods of the ledger that the test breaks. */
  ledgerFails?: Partial<Ledger>;
  onEvent?: OnEvent;
  /** Another flow than welcome packages. */
  createFlow?: (parts: FlowParts) => Flow;
  /** Default: those of all flows. */
  flowMigrations?: FlowMigrations;
}

/** What the engine must know of welcome packages, for tests that have no flow. */
export const POLICY: Policy = {
  ...{ order: 'lane', supersedes: false, hasOwnKeys: false, keepsLabels: false },
  ...{ batch: ONE_BY_ONE, concurrency: 16, maxAttempts: 25 },
};

/** The flow of welcome packages with all its real parts. They stop when the test ends. */
export async function setUpService(options: ServiceTestOptions = {}) {
  const { log, ...logged } = captureLog();
  const { concurrency = 16, pollingIntervalMs = 10_000, surgeLimit } = options;
  const registry = new Registry();
  const steps = new EventEmitter().setMaxListeners(0);
  const onEvent = (event: EngineEvent) => {
    options.onEvent?.(event);
    steps.emit('step', event);
  };
  let offsetMs = 0;
  let skewMs = 0;
  const now = () => (options.now ?? Date.now)() + offsetMs + skewMs;
  const monotonicNow = () => (options.isClockStill ? 0 : performance.now()) + offsetMs;
  const opened = await openLedger(options.ledger ?? { kind: 'sqlite', path: ':memory:' }, log, {
    hasThread: false,
    flowMigrations: options.flowMigrations ?? FLOW_MIGRATIONS,
  });
  const ledger: Ledger = { ...opened, ...options.ledgerFails };
  const client = createHttpClient({
    connections: concurrency,
    timeoutMs: options.requestTimeoutMs ?? 5_000,
  });
  const common = { ledger, log, now, monotonicNow, random: options.random ?? (() => 0) };
  const pauses = {
    CRM: createPause({ system: 'CRM', ...common }),
    inventory: createPause({ system: 'inventory', ...common }),
  };
  const parts: FlowParts = {
    ...common,
    http: client,
    pauseOf: (system) => pauses[system as keyof typeof pauses] ?? pauses.CRM,
  };
  const settings = {
    ...parseEnvironment(welcomePackageEnvironment, {}),
    CRM_API_URL: new URL(options.crmUrl ?? CRM_URL),
    INVENTORY_API_URL: new URL(options.inventoryUrl ?? INVENTORY_URL),
    MAX_RETRIES: options.maxRetries ?? 3,
    RETRY_DELAY_SECONDS: (options.retryDelayMs ?? 0) / 1_000,
    MAX_RESPONSE_MEGABYTES: (options.maxResponseBytes ?? 256_000_000) / 1_000_000,
    POLLING_INTERVAL_SECONDS: pollingIntervalMs / 1_000,
    SWEEP_INTERVAL_SECONDS: (options.sweepIntervalMs ?? 3_600_000) / 1_000,
    DELIVERY_CONCURRENCY: concurrency,
    MAX_ATTEMPTS: options.maxAttempts ?? 25,
    WEBHOOK_SECRET: options.webhookSecrets,
  };
  const flow = options.createFlow?.(parts) ?? createFlow(settings, parts);
  const open = openFlow(flow, {
    ...common,
    ...{ surgeLimit, onEvent, pause: parts.pauseOf(flow.target.name) },
    surgeWindowMs: options.surgeWindowMs ?? pollingIntervalMs,
    metrics: {
      delivery: createDeliveryMetrics(registry, {
        ledger,
        now,
        pauses: () => Object.values(pauses),
      }),
      polls: createPollMetrics(registry),
      events: createEventMetrics(registry),
    },
  });
  const { breaker, dispatcher, gate, ingest } = open;
  const poller = open.pollers[0] as Poller;
  const stop = () => open.stop();
  onTestFinished(async () => {
    await stop();
    await client.close();
    await ledger.close();
  });

  /** The keys of the deliveries in a status, in the order in which they were ingested. */
  async function keysOf(status: Status): Promise<string[]> {
    return (await ledger.list({ status }, 100_000)).map(({ key }) => key);
  }

  async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (;;) {
      const changed = once(steps, 'step');
      if (await isSo()) return;
      await changed;
    }
  }

  return {
    open,
    flow,
    poller,
    dispatcher,
    ledger,
    breaker,
    gate,
    pauses,
    now,
    registry,
    ingest,
    log,
    stop,
    keysOf,
    ...logged,
    /** Resolves when the condition holds; it is checked after every step. */
    until,
    untilLogged: logged.until,
    /** Resolves when no delivery is pending, being sent or unknown. */
    untilDone: () =>
      until(async () => {
        const counts = await ledger.countByStatus(flow.name);
        return counts.pending + counts.sending + counts.unknown === 0;
      }),
    /** Advances the time for everything that is due, leased or waiting for the breaker. */
    advance(ms: number): void {
      offsetMs += ms;
      dispatcher.wake();
    },
    /** Jumps only the wall clock. */
    jump(ms: number): void {
      skewMs += ms;
      dispatcher.wake();
    },
    async metric(line: string): Promise<number> {
      const lines = (await registry.metrics()).split('\n');
      return Number(
        lines
          .find((each) => each.startsWith(`${line} `))
          ?.split(' ')
          .at(-1),
      );
    },
  };
}

/** A real HTTP server on loopback that ends with the test; returns its URL. */
export function startHttpServer(listener: RequestListener): Promise<string> {
  return listen(createServer(listener));
}

/** A real TCP server on loopback that ends with the test, for answers that no HTTP server would give. */
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
