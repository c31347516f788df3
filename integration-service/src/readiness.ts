import { allOf, type Readiness } from 'service-kit/operations';
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
  return allOf([ofLedger(ledger), ...flows.map((flow) => flow.checkReadiness())]);
}

function ofLedger(ledger: ReadinessParts['ledger']): Readiness {
  const reason = ledger.problem()?.message;
  if (reason === undefined) return { ready: true };
  return { ready: false, reason, degraded: [{ part: 'ledger', reason }] };
}
