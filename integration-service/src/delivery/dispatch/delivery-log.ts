import type { Logger } from 'service-kit/logger';
import { createRateLimitedLog } from 'service-kit/rate-limited-log';
import type { OnEvent, Result } from '../engine-event.ts';
import { nameSome } from '../name-some.ts';
import { canLookUp, isLastLookUp, type Rules } from '../transition.ts';

/**
 * Logs what became of deliveries that did not go through at once: each one that is given up, and what
 * look-ups found. The reason why deliveries are held is logged once, until a list is complete again.
 */
export function createDeliveryLog(flow: Rules & { name: string }, log: Logger): OnEvent {
  const { name, target } = flow;
  const logLimited = createRateLimitedLog(log);
  let isReasonTold = false;

  function tellDead({ claim, transition }: Result): void {
    log.error(
      `Giving up on ${name}/${claim.key} after ${transition.attempts} attempt(s): ${transition.lastError}. It is sent again when it is replayed.`,
    );
  }

  function tellLookUp({ claim, verdict, transition }: Result): void {
    const delivery = `${name}/${claim.key}`;
    if (verdict === 'found' && transition.status === 'delivered') {
      const what = 'an attempt of unknown outcome is settled';
      const as = transition.targetId === undefined ? '' : ` as ${transition.targetId}`;
      logLimited('attempts found', `The ${target.name} has ${delivery}${as}: ${what}.`);
    } else if (verdict === 'not_found' && transition.status !== 'held') {
      const what = `The ${target.name} does not have ${delivery}, of which an attempt is of unknown outcome`;
      logLimited('attempts not found', `${what}: ${NEXT[transition.status]}.`);
    }
  }

  function tellHeld(held: Result[]): void {
    const names = nameSome(held.map(({ claim }) => claim.key));
    const what = `Holding back ${held.length} of ${name}, each with an attempt of unknown outcome (${names})`;
    if (isReasonTold) {
      logLimited('such lines', `${what}, for the reason given before.`);
      return;
    }
    isReasonTold = true;
    const released = canLookUp(flow)
      ? 'has them looked up once more, and sent if they are not found'
      : 'has them sent again';
    log.error(`${what}: ${held[0]?.transition.lastError} POST /deliveries/release ${released}.`);
  }

  return (event) => {
    if (event.kind !== 'committed') return;
    const results = event.results.filter(({ isSuperseded }) => !isSuperseded);
    for (const each of results) if (each.verdict) tellLookUp(each);
    const held = results.filter(({ transition }) => transition.status === 'held');
    const isNotFoundAtLast = ({ claim, verdict }: Result) =>
      verdict === 'not_found' && isLastLookUp(target, claim);
    if (held.length > 0) tellHeld(held);
    // The last look-up did not find a delivery, and it is not held: the list was complete.
    else if (results.some(isNotFoundAtLast)) isReasonTold = false;
    for (const each of results) if (each.transition.status === 'dead') tellDead(each);
  };
}

const NEXT = {
  pending: 'sending it again',
  unknown: 'asking once more',
  dead: 'giving it up',
  delivered: 'nothing is to be done',
};
