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
  const ranks = outcomes.map(rank);
  const lead = ranks.indexOf(Math.min(...ranks));
  const told = tell(permit, claims[lead] as Claim, outcomes[lead] as Outcome);
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
      const { verdict, waitMs } = permit.throttle(key, outcome.reason, outcome.retryAfterMs);
      const kind = verdict === 'its own' ? 'transient' : 'throttled';
      return { ...outcome, kind, retryAfterMs: waitMs };
    }
    case 'unknown':
    case 'transient':
      // A target that says that the record exists works: it has looked for it.
      if (outcome.kind === 'unknown' && outcome.saysItExists) permit.succeed(key);
      else permit.fail(outcome.reason, outcome.retryAfterMs);
      break;
    case 'unauthorized':
      permit.refuse(outcome.reason);
      break;
    case 'aborted':
      permit.cancel();
  }
  return outcome;
}
