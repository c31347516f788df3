import type { Claim } from '../delivery.ts';
import type { Outcome } from '../outcome.ts';
import type { Permit } from './gate.ts';

/** The outcomes that show best how the target is, in this order: to ask for fewer calls counts most. */
const TELLING: Outcome['kind'][] = ['throttled', 'unauthorized', 'delivered', 'permanent', 'stale'];

/** Tells the gate what a call says about the target; returns the outcomes for the deliveries. */
export function tellGate(
  permit: Permit,
  claims: readonly Claim[],
  outcomes: readonly Outcome[],
): readonly Outcome[] {
  const rank = ({ kind }: Outcome) => TELLING.indexOf(kind) + 1 || TELLING.length + 1;
  let lead = 0;
  outcomes.forEach((outcome, i) => {
    if (rank(outcome) < rank(outcomes[lead] as Outcome)) lead = i;
  });
  const told = tell(permit, claims[lead] as Claim, outcomes[lead] as Outcome);
  if (outcomes.length === 1 || outcomes[lead]?.kind !== 'throttled') {
    return outcomes.map((outcome, i) => (i === lead ? told : outcome));
  }
  return outcomes.map((outcome) => (outcome.kind === 'throttled' ? told : outcome));
}

function tell(permit: Permit, { key }: Claim, outcome: Outcome): Outcome {
  switch (outcome.kind) {
    case 'delivered':
    case 'permanent':
    case 'stale':
      permit.succeed(key);
      break;
    case 'throttled': {
      const { reason, retryAfterMs } = outcome;
      const { verdict, waitMs } = permit.throttle(key, reason, retryAfterMs);
      const isOwn = verdict === 'its own';
      return isOwn
        ? { ...outcome, kind: 'transient', retryAfterMs: waitMs }
        : { ...outcome, retryAfterMs: waitMs };
    }
    case 'unknown':
      // The target works: it has looked for the record.
      if (outcome.saysItExists) permit.succeed(key);
      else permit.fail(outcome.reason, outcome.retryAfterMs);
      break;
    case 'transient':
      permit.fail(outcome.reason, outcome.retryAfterMs);
      break;
    case 'unauthorized':
      permit.refuse(outcome.reason);
      break;
    case 'aborted':
      permit.cancel();
  }
  return outcome;
}
