import { describe, expect, it } from 'vitest';
import { runGate } from '../gate/run.ts';
import { BREAKAGES } from '../gate/systems.ts';
import { LEDGER_KINDS, newLocation } from '../ledgers.ts';

const { GATE_STARTS = 5 } = process.env;

describe.each(LEDGER_KINDS)(
  'three flows of three shapes, killed at random, with a ledger in %s',
  (kind) => {
    it('lose, double and tear nothing, and forget who is gone', async () => {
      const starts = Number(GATE_STARTS);
      const { kills, problems } = await runGate(await newLocation(kind), { seed: 1, starts });
      expect(problems).toEqual([]);
      expect(kills).toBeGreaterThan(starts / 2);
    });
  },
);

describe('the same run fails when', () => {
  it.each(BREAKAGES)('%s', async (breakage) => {
    const problems: string[] = [];
    // Kills come at random: a run may have missed the one moment that matters.
    for (let seed = 1; seed <= 9 && problems.length === 0; seed++) {
      const options = { seed, starts: 3, breakage };
      problems.push(...(await runGate(await newLocation('sqlite'), options)).problems);
    }
    expect(problems).not.toEqual([]);
  });
});
