import type { Logger } from 'service-kit/logger';
import { createRateLimitedLog } from 'service-kit/rate-limited-log';
import { nameSome } from '../name-some.ts';
import { LAST_READ } from '../transition.ts';
import type { Settled } from './settle.ts';

/**
 * Logs what settling found for every delivery. The reason why deliveries are held is logged once, until a
 * list is complete again.
 */
export function createSettleLog(options: { leg: string; targetName: string; log: Logger }) {
  const { leg, targetName, log } = options;
  const logLimited = createRateLimitedLog(log);
  let isReasonTold = false;

  function tellOne({ claim, verdict, transition }: Settled): void {
    const name = `${leg}/${claim.key}`;
    if (verdict === 'found') {
      const id = transition.event?.reason;
      const what = 'an attempt of unknown outcome is settled';
      logLimited('attempts found', `The ${targetName} has ${name} as ${id}: ${what}.`);
    } else if (verdict === 'not_found' && transition.status !== 'held') {
      const what = `The ${targetName} does not have ${name}, of which an attempt is of unknown outcome`;
      logLimited('attempts not found', `${what}: ${NEXT[transition.status]}.`);
    }
  }

  function tellHeld(held: Settled[]): void {
    const names = nameSome(held.map(({ claim }) => claim.key));
    const what = `Holding back ${held.length} of ${leg}, each with an attempt of unknown outcome (${names})`;
    if (isReasonTold) {
      logLimited('such lines', `${what}, for the reason given before.`);
      return;
    }
    isReasonTold = true;
    log.error(
      `${what}: ${held[0]?.transition.lastError} POST /deliveries/release has them looked up once more, and sent if they are not found.`,
    );
  }

  return (settled: Settled[]): void => {
    for (const each of settled) tellOne(each);
    const held = settled.filter(({ transition }) => transition.status === 'held');
    if (held.length > 0) tellHeld(held);
    // The last read did not find a delivery, and it is not held: the list was complete.
    else if (settled.some(isNotFoundAtLast)) isReasonTold = false;
  };
}

const NEXT = {
  pending: 'sending it again',
  unknown: 'asking once more',
  dead: 'giving it up',
  delivered: 'nothing is to be done',
};

function isNotFoundAtLast({ claim, verdict }: Settled): boolean {
  return verdict === 'not_found' && claim.reads === LAST_READ;
}
