import type { HttpService } from 'service-kit/http-service';
import type { Logger } from 'service-kit/logger';
import { allOf, type Readiness } from 'service-kit/operations';
import type { ClocksAndRandom } from './delivery/clocks.ts';
import { type CircuitBreaker, createCircuitBreaker } from './delivery/dispatch/circuit-breaker.ts';
import { createDeliveryLog } from './delivery/dispatch/delivery-log.ts';
import { createDispatcher, type Dispatcher } from './delivery/dispatch/dispatcher.ts';
import { createGate, type Gate } from './delivery/dispatch/gate.ts';
import type { DeliveryMetrics } from './delivery/dispatch/metrics.ts';
import type { Pause } from './delivery/dispatch/pauses.ts';
import type { OnEvent } from './delivery/engine-event.ts';
import type { Flow, PolledSource, PushedSource } from './delivery/flow.ts';
import { createGroupChange } from './delivery/ingest/group-change.ts';
import { createGroupCommit } from './delivery/ingest/group-commit.ts';
import { createIngest, type Ingest } from './delivery/ingest/ingest.ts';
import type { EventMetrics, PollMetrics } from './delivery/ingest/metrics.ts';
import { createPoller, type Poller } from './delivery/ingest/poller.ts';
import { createSurgeGuard, type SurgeGuard } from './delivery/ingest/surge-guard.ts';
import {
  INGEST_RESULTS,
  type Ledger,
  type Produce,
  type SourceId,
} from './delivery/ledger/ledger.ts';
import type { GuardedOptions } from './delivery/routes/guarded.ts';
import { withoutExcerpt } from './http/response.ts';

export interface OpenFlowOptions extends ClocksAndRandom {
  ledger: Ledger;
  /** The pause of the target's system. */
  pause: Pause;
  metrics: {
    delivery: DeliveryMetrics;
    polls: (of: SourceId) => PollMetrics;
    events: (of: SourceId) => EventMetrics;
  };
  /** More new items of a source than this at once are held. Default: there is no limit. */
  surgeLimit?: number | undefined;
  /** Items of a source that comes by itself come at once within this time. */
  surgeWindowMs: number;
  log: Logger;
  /** Called at every step. Default: nobody listens. */
  onEvent?: OnEvent | undefined;
}

/** A flow at work: its sources fill the ledger, and its dispatcher empties it. */
export interface OpenFlow {
  flow: Flow;
  breaker: CircuitBreaker;
  gate: Gate;
  ingest: Ingest;
  dispatcher: Dispatcher;
  pollers: readonly Poller[];
  /** Until when the target is not called, Unix time in milliseconds; `undefined` when it may be. */
  blockedUntil(): number | undefined;
  /** Ready when its sources can be read. What else does not work is listed. */
  checkReadiness(): Readiness;
  /** Adds the routes of the sources that come by HTTP. */
  addRoutes(app: HttpService, guarded: GuardedOptions): void;
  /** The headings of these routes in the documentation. */
  tags: readonly { name: string; description: string }[];
  /** Works until it is stopped. Rejects when the disk of the ledger reports errors, or when our code fails. */
  run(): Promise<void>;
  stop(): Promise<void>;
}

/** Wires a flow: the same for the service, the tests and the proof. Nothing runs yet, but pushed sources. */
export function openFlow(flow: Flow, options: OpenFlowOptions): OpenFlow {
  const { ledger, pause, metrics, surgeLimit: limit, surgeWindowMs } = options;
  const { log, now, monotonicNow } = options;
  const { name, target } = flow;
  const breaker = createCircuitBreaker({
    ...{ target: target.name, log, monotonicNow },
    onClose() {
      for (const poller of pollers) if (poller.source.readsTarget) poller.pollNow();
    },
  });
  const gate = createGate({ breaker, pause, now });
  const count = metrics.delivery({ flow: name, target: target.name, breaker });
  const listeners = [createDeliveryLog(flow, log), count, options.onEvent];
  const onEvent: OnEvent = (event) => {
    for (const listen of listeners) listen?.(event);
  };
  const dispatcher = createDispatcher({ ...options, flow, gate, onEvent });
  const ingest = createIngest({ ...options, flow, onIngested: dispatcher.wake, onEvent });

  const guardFor = (windowMs: number): SurgeGuard =>
    createSurgeGuard({ flow: name, ledger, limit, windowMs, monotonicNow });
  const pollers = flow.sources
    .filter((source): source is PolledSource => source.kind === 'polled')
    .map((source) =>
      createPoller({
        ...options,
        // A poll is a surge by itself, however soon it follows.
        ...{ flow, source, ingest, guard: guardFor(0), metrics: metrics.polls },
      }),
    );
  const pushed = flow.sources
    .filter((source): source is PushedSource => source.kind === 'pushed')
    .map((source) => {
      const eventMetrics = metrics.events({ flow: name, source: source.name });
      const { sink, close } = createGroupCommit({
        ...{ source: source.name, noun: source.noun, ingest, log },
        ...{ guard: guardFor(surgeWindowMs), metrics: eventMetrics },
      });
      const write = async (produce: Produce) => {
        const counts = await ingest.change(produce);
        for (const result of INGEST_RESULTS) eventMetrics.count(result, counts[result]);
      };
      // With several writers, two groups could lock the same records, each in an order of its own.
      const change = createGroupChange({ write, isGrouped: ledger.hasOneWriter });
      return { ...source.open(sink, eventMetrics, change), closeSink: close };
    });

  function checkReadiness(): Readiness {
    const problems = [
      { part: target.name, reason: failureOf(target.name, breaker.problem()) },
      { part: target.name, reason: pauseOf(target.name, pause.until()) },
      { part: target.name, reason: target.problem?.() },
      ...pushed.map((source) => ({ part: 'events', reason: source.problem() })),
    ];
    const degraded = problems.flatMap(({ part, reason }) => (reason ? { part, reason } : []));
    const ofSources = pollers.map((poller): Readiness => {
      const readiness = poller.checkReadiness();
      return poller.source.readsTarget ? { ready: true, degraded: readiness.degraded } : readiness;
    });
    return allOf([...ofSources, { ready: true, degraded }]);
  }

  return {
    ...{ flow, breaker, gate, ingest, dispatcher, pollers },
    blockedUntil: gate.blockedUntil,
    checkReadiness,
    tags: [flow.routes, ...pushed].flatMap((routes) => routes?.tag ?? []),
    addRoutes(app, guarded) {
      const { blockedUntil } = gate;
      flow.routes?.add(app, { guarded, blockedUntil });
      for (const source of pushed) source.addRoutes?.(app, { guarded, blockedUntil });
    },
    async run() {
      await Promise.all([...pollers.map((poller) => poller.run()), dispatcher.run()]);
    },
    async stop() {
      await Promise.all([
        ...pollers.map((poller) => poller.stop()),
        dispatcher.stop(),
        ...pushed.map(async (source) => {
          // First, messages that wait for the ledger go back to the queue.
          await source.close();
          await source.closeSink();
        }),
      ]);
      await target.close?.();
    },
  };
}

/**
 * Whether the service can do its work: the ledger works and the sources can be read. A failing target or
 * source of events is only listed as degraded, because nothing is lost, and a restart would not help.
 */
export function readinessOf(
  ledger: Pick<Ledger, 'problem'>,
  flows: readonly Pick<OpenFlow, 'checkReadiness'>[],
): Readiness {
  const reason = ledger.problem()?.message;
  const ofLedger: Readiness =
    reason === undefined
      ? { ready: true }
      : { ready: false, reason, degraded: [{ part: 'ledger', reason }] };
  return allOf([ofLedger, ...flows.map((flow) => flow.checkReadiness())]);
}

function failureOf(target: string, problem: string | undefined): string | undefined {
  return (
    problem &&
    `The ${target} fails: ${withoutExcerpt(problem)}. Nothing is lost. One call from time to time tests it.`
  );
}

function pauseOf(target: string, until: number | undefined): string | undefined {
  if (until === undefined) return undefined;
  return `The ${target} asks for fewer calls, and is not called until ${new Date(until).toISOString()}.`;
}
