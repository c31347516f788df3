import type { Degradation, Readiness } from 'service-kit/operations';
import type { Ledger } from './delivery/ledger/ledger.ts';
import type { OpenFlow } from './open-flow.ts';

export interface ReadinessParts {
  ledger: Pick<Ledger, 'problem'>;
  flows: readonly Pick<OpenFlow, 'checkReadiness'>[];
}

/**
 * Whether the service can do its work: the ledger works and the sources can be read. A failing target or
 * source of events is only listed as degraded, because nothing is lost, and a restart would not help.
 */
export function checkReadiness({ ledger, flows }: ReadinessParts): Readiness {
  const checks = flows.map((flow) => flow.checkReadiness());
  const problem = ledger.problem()?.message;
  const degraded: Degradation[] = [
    ...(problem === undefined ? [] : [{ part: 'ledger', reason: problem }]),
    ...checks.flatMap((check) => check.degraded ?? []),
  ];
  if (problem !== undefined) return { ready: false, reason: problem, degraded };
  return { ...(checks.find(({ ready }) => !ready) ?? { ready: true }), degraded };
}
