/**
 * The real ledger and one or two dispatchers on a SQLite file, against a target that fails in every way,
 * under a clock that the test moves. The steps come in any order: items (few, or too many at once),
 * calls that are refused, fail, hang or lose their answer, with the effect before, after or never, reads
 * that fail or list nothing, crashes and pauses of a worker at any step, stops, jumps of the wall clock,
 * replays, releases, and the loss of the ledger. After each step, and whenever time has passed:
 *
 * 1. No key has two effects at the target. When nothing fails any more, each ingested key is delivered,
 *    with its one effect, or dead for a reason that its history tells; none is lost.
 * 2. A call begins only for a delivery that is committed in the ledger, due, and claimed by this worker
 *    according to the token.
 * 3. Within a lane, one delivery is under way at a time, and none before all earlier-ingested ones have
 *    ended.
 * 4. No more attempts than allowed. An attempt that was refused with 401, throttled, aborted, or could
 *    not be sent while the breaker was not closed does not count. For 2 s after the breaker opens, and in a
 *    pause, no call begins.
 * 5. A row agrees with its history (so that nothing is sent again after its end unless replayed),
 *    `next_attempt_at` is set only for pending and unknown rows, and the history only grows.
 * 6. Leases are lost only after a crash, a pause or a jump; a worker that starts alone takes over at once.
 *
 * Assumed, not tested: without idempotency keys, an effect does not come later than the settle window
 * (10.5 s of the wall clock), and the clock does not jump while a worker is paused.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { runs } from './runs.ts';
import { type Behaviour, createWorld, type World } from './state-machine-model.ts';

/** In memory if possible: otherwise the ledger waits for the disk at every commit. */
const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const KEYS = Array.from({ length: 8 }, (_, i) => `key-${i}`);

function command<Values>(
  name: string,
  values: fc.Arbitrary<Values>,
  run: (world: World, values: Values) => unknown,
): fc.Arbitrary<fc.AsyncCommand<object, World>> {
  return values.map((value) => ({
    check: () => true,
    async run(_, world) {
      await run(world, value);
      await world.advance(0);
      expect([...world.problems]).toEqual([]);
    },
    toString: () => `${name}(${JSON.stringify(value)})`,
  }));
}

const ms = (max: number) => fc.integer({ min: 0, max: max / 100 }).map((tenths) => tenths * 100);
const answerMs = fc.oneof(fc.constant(0), ms(5_000), ms(5_000), fc.constant(30_000));
const retryAfterMs = fc.constantFrom(undefined, undefined, 0, 7_000, 90_000, 3_600_000);

/** With keys, the target may commit after the end of the settle window. */
const behaviour = (latestMs: number): fc.Arbitrary<Behaviour> =>
  fc.oneof(
    fc.tuple(answerMs, ms(9_000)).map(([answer, commit]) => ({
      ...{ kind: 'delivered' as const, answerMs: answer, commitMs: Math.min(answer, commit) },
    })),
    fc.record({
      kind: fc.constant('unknown' as const),
      answerMs,
      commitMs: fc.option(ms(latestMs), { nil: undefined }),
      retryAfterMs,
    }),
    fc.record({
      kind: fc.constantFrom('transient' as const, 'throttled' as const),
      answerMs,
      retryAfterMs,
    }),
    fc.record({
      kind: fc.constantFrom('permanent', 'stale', 'exists', 'unauthorized', 'not sent'),
      answerMs,
    }),
  );

const readBehaviour = fc.record({
  kind: fc.constantFrom(
    ...(['ok', 'ok', 'ok', 'cut', 'failing', 'unauthorized', 'throttled'] as const),
  ),
  answerMs: fc.oneof(fc.constant(0), ms(3_000)),
});

const trap = (kind: 'crash' | 'sleep', maxMs: number) =>
  fc.tuple(
    fc.nat(1),
    fc.record({
      kind: fc.constant(kind),
      at: fc.constantFrom('any' as const, 'claimed' as const, 'sent' as const, 'received' as const),
      after: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 20 })),
      ms: ms(maxMs),
    }),
  );

const advance = (max: number) => command('advance', ms(max), (world, time) => world.advance(time));

const ingest = command(
  'ingest',
  fc.record({
    keys: fc.uniqueArray(fc.constantFrom(...KEYS), { minLength: 1 }),
    surgeLimit: fc.constantFrom(undefined, undefined, 3),
  }),
  (world, { keys, surgeLimit }) => world.ingest(keys, surgeLimit),
);

const commands = (latestMs: number) =>
  fc.commands(
    [
      ingest,
      ingest,
      advance(3_000),
      advance(60_000),
      advance(7_200_000),
      command(
        'target',
        fc.array(behaviour(latestMs), { minLength: 1, maxLength: 6 }),
        (world, all) => world.behaviours.push(...all),
      ),
      command(
        'outage',
        fc.tuple(fc.integer({ min: 5, max: 9 }), behaviour(latestMs)),
        (world, [n, one]) => world.behaviours.push(...Array(n).fill(one)),
      ),
      command('cut off', fc.integer({ min: 1, max: 6 }), (world, n) =>
        world.readBehaviours.push(...Array(n).fill({ kind: 'cut', answerMs: 0 })),
      ),
      command('reads', fc.array(readBehaviour, { minLength: 1, maxLength: 4 }), (world, all) =>
        world.readBehaviours.push(...all),
      ),
      command(
        'jump',
        fc.tuple(
          fc.constantFrom(-10_800_000, -172_800_000, -1_800_000, -1_000, 30_000, 172_800_000),
          fc.constantFrom(undefined, 0, 1),
        ),
        (world, [by, victim]) => world.jump(by, victim),
      ),
      command('crash', trap('crash', 30_000), (world, [index, how]) => world.trap(index, how)),
      command('sleep', trap('sleep', 60_000), (world, [index, how]) => world.trap(index, how)),
      command('restart', fc.nat(1), (world, index) => world.restartGracefully(index)),
      command('replay', fc.constant(null), (world) => world.replay()),
      command('release', fc.constant(null), (world) => world.release()),
      command('lose the ledger', fc.constant(null), (world) => world.loseLedger()),
    ],
    { size: '+1', maxCommands: 25 },
  );

/** Numbers from 0 to below 1, the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

it.each([
  ['without', false, 9_000],
  ['with', true, 60_000],
])(
  'delivers once to a target %s idempotency keys, whatever happens',
  async (_, hasKeys, latestMs) => {
    const setting = fc.record({
      holds: fc.subarray(KEYS, { maxLength: 2 }),
      workers: fc.constantFrom(1, 2, 2),
      seed: fc.integer(),
    });
    const property = fc.asyncProperty(
      setting,
      commands(latestMs),
      async ({ seed, ...given }, steps) => {
        const folder = mkdtempSync(join(PLACE, 'state-machine-'));
        const world = await createWorld({ ...given, folder, hasKeys, random: randomFrom(seed) });
        try {
          await fc.asyncModelRun(() => ({ model: {}, real: world }), steps);
          await world.finish();
          expect([...world.problems]).toEqual([]);
        } finally {
          await world.close();
          rmSync(folder, { recursive: true, force: true });
        }
      },
    );
    // The same runs every time unless `FC_SEED` is set: a failure is the same for everybody.
    const { FC_SEED = 1 } = process.env;
    await fc.assert(property, { numRuns: runs(4), seed: Number(FC_SEED) });
  },
);
