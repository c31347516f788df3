import type { Degradation, Readiness } from 'service-kit/operations';
import type { CircuitBreaker } from './delivery/dispatch/circuit-breaker.ts';
import type { Pause } from './delivery/dispatch/pauses.ts';
import type { Poller } from './delivery/ingest/poller.ts';
import type { Ledger } from './delivery/ledger/ledger.ts';
import { withoutExcerpt } from './http/response.ts';
import type { EventSources } from './welcome-package/event-sources.ts';

export interface ReadinessParts {
  ledger: Pick<Ledger, 'problem'>;
  poller: Pick<Poller, 'checkReadiness'>;
  /** Keyed by the name of the target. */
  targets: Record<
    string,
    { breaker: Pick<CircuitBreaker, 'problem'>; pause: Pick<Pause, 'until'> }
  >;
  events: Pick<EventSources, 'problem'>;
}

/**
 * Whether the service can do its work: the ledger works and the CRM can be read. A failing target or event
 * source is only listed as degraded, because nothing is lost, and a restart would not help.
 */
export function checkReadiness(parts: ReadinessParts): Readiness {
  const { ledger, poller, targets, events } = parts;
  const degraded: Degradation[] = [];
  const note = (part: string, reason: string | undefined) => {
    if (reason !== undefined) degraded.push({ part, reason });
  };
  const problem = ledger.problem()?.message;
  note('ledger', problem);
  const polls = poller.checkReadiness();
  degraded.push(...(polls.degraded ?? []));
  for (const [target, { breaker, pause }] of Object.entries(targets)) {
    note(target, failureOf(target, breaker.problem()));
    note(target, pauseOf(target, pause.until()));
  }
  note('events', events.problem());
  if (problem !== undefined) return { ready: false, reason: problem, degraded };
  return { ...polls, degraded };
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
