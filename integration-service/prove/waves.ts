import type { Crm } from './welcome-package/crm.ts';

const WAVE = 3;

/** How the customers of one kill come to the CRM. */
export interface Waves {
  /** To be called after each poll. */
  onPolled(): void;
  /** No more customers come, except the second wave if there was no poll yet. */
  end(): void;
}

/**
 * Adds three customers at once, three after the first poll, and one after each later poll until `end`: a
 * slow process may finish two waves before the step's turn comes.
 */
export function startWaves(crm: Crm): Waves {
  let polls = 0;
  let hasEnded = false;
  crm.add(WAVE);
  return {
    onPolled() {
      if (hasEnded) return;
      polls += 1;
      crm.add(polls === 1 ? WAVE : 1);
    },
    end() {
      hasEnded = true;
      if (polls === 0) crm.add(WAVE);
    },
  };
}
