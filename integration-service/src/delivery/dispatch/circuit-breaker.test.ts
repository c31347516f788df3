import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import {
  type BreakerPermit,
  type CircuitBreaker,
  createCircuitBreaker,
} from './circuit-breaker.ts';

function setUp() {
  const lines: string[] = [];
  const write = (line: string) => lines.push(JSON.parse(line).msg);
  const log = pino({}, { write });
  const clock = { now: 1_000_000, monotonicNow: () => clock.now };
  const breaker = createCircuitBreaker({ target: 'inventory', log, ...clock });
  const fail = (times: number, retryAfterMs?: number) => {
    for (let i = 0; i < times; i++) pass(breaker).fail('503', retryAfterMs);
  };
  /** Waits until the breaker is half-open, and begins the probe. */
  const probe = () => {
    clock.now += breaker.waitMs();
    return pass(breaker);
  };
  const look = () => [breaker.state(), breaker.capacity(), breaker.waitMs()];
  return { breaker, look, lines, fail, clock, probe };
}

/** Begins a call, which must be within the capacity. */
function pass(breaker: CircuitBreaker): BreakerPermit {
  const permit = breaker.pass();
  if (!permit) throw new Error('no capacity');
  return permit;
}

const CLOSED = ['closed', Number.POSITIVE_INFINITY, 0];
const DOWN = expect.stringContaining('The inventory failed 5 times in a row (503).');
const UP = 'The inventory answers again.';
const refused = (why: string) => expect.stringContaining(`refuses access: ${why}. Check`);

describe('a closed breaker', () => {
  it('lets any number of calls through, and opens for 2 s when 5 have failed in a row', () => {
    const { breaker, look, fail, lines } = setUp();
    fail(4);
    pass(breaker).succeed();
    fail(4);
    pass(breaker).cancel();
    expect([...look(), ...lines]).toEqual(CLOSED);
    fail(1);
    expect([...look(), ...lines]).toEqual(['open', 0, 2_000, DOWN]);
  });

  it('opens at once for 2 s when the target refuses access, and says so once', () => {
    const { look, probe, lines } = setUp();
    probe().refuse('401');
    expect(look()).toEqual(['open', 0, 2_000]);
    for (const reason of ['401', '401', '403']) probe().refuse(reason);
    probe().succeed();
    probe().refuse('403');
    expect(look()).toEqual(['open', 0, 2_000]);
    expect(lines).toEqual([refused('401'), UP, refused('403')]);
  });

  it('says once that it is not let in, however many calls began before', () => {
    const { breaker, fail, lines } = setUp();
    const early = Array.from({ length: 10 }, () => pass(breaker));
    fail(5);
    for (const permit of early) permit.refuse('401');
    expect(lines).toEqual([DOWN, refused('401')]);
  });
});

describe('an open breaker', () => {
  it('lets one probe through when its time is over, and not a millisecond earlier', () => {
    const { breaker, look, fail, clock } = setUp();
    fail(5);
    clock.now += 1_999;
    expect(look()).toEqual(['open', 0, 1]);
    clock.now += 1;
    expect(look()).toEqual(['half-open', 1, 0]);
    const permit = pass(breaker);
    clock.now += 3_600_000;
    expect(look()).toEqual(['half-open', 0, 0]);
    permit.succeed();
    expect(look()).toEqual(CLOSED);
  });

  it('gives the place back when the probe was not made', () => {
    const { look, fail, probe } = setUp();
    fail(5);
    probe().cancel();
    expect(look()).toEqual(['half-open', 1, 0]);
    probe().fail('reset');
    expect(look()).toEqual(['open', 0, 4_000]);
  });

  it.each([
    ['fail', []],
    ['refuse', [refused('503')]],
  ] as const)(
    'doubles its time with each probe that ends with %s, up to 30 s, and begins anew once closed',
    (result, said) => {
      const { breaker, look, fail, probe, lines } = setUp();
      fail(5);
      for (const waitMs of [4_000, 8_000, 16_000, 30_000, 30_000, 30_000]) {
        probe()[result]('503');
        expect(breaker.waitMs()).toBe(waitMs);
      }
      probe().succeed();
      fail(4);
      expect(look()).toEqual(CLOSED);
      fail(1);
      expect(breaker.waitMs()).toBe(2_000);
      expect(lines).toEqual([DOWN, ...said, UP, DOWN]);
    },
  );
});

describe('a Retry-After', () => {
  it.each([
    ['of the failure that opens', [0, 10_000], 10_000],
    ['of a failure a second ago', [10_000, 0], 9_000],
    ['shorter than the breaker waits anyway', [0, 1_999], 2_000],
  ])('%s is how long it stays open at the least', (_, [first, last], waitMs) => {
    const { breaker, fail, clock } = setUp();
    fail(1, first);
    clock.now += 1_000;
    fail(3);
    fail(1, last);
    expect(breaker.waitMs()).toBe(waitMs);
  });

  it('of a probe is kept, is not what the next one doubles, and is forgotten after an answer', () => {
    const { breaker, fail, probe } = setUp();
    fail(5);
    probe().fail('429', 60_000);
    expect(breaker.waitMs()).toBe(60_000);
    probe().fail('503');
    expect(breaker.waitMs()).toBe(8_000);
    probe().succeed();
    fail(1, 60_000);
    pass(breaker).succeed();
    fail(5);
    expect(breaker.waitMs()).toBe(2_000);
  });
});

describe('a call that began before the breaker opened', () => {
  it.each(['succeed', 'fail', 'refuse', 'cancel'] as const)(
    'neither closes nor prolongs it, nor takes the place of the probe, when it ends with %s',
    (result) => {
      const { breaker, look, fail, probe } = setUp();
      const [early, late] = [pass(breaker), pass(breaker)];
      fail(5);
      early[result]('late');
      expect(look()).toEqual(['open', 0, 2_000]);
      const permit = probe();
      late[result]('late');
      expect(look()).toEqual(['half-open', 0, 0]);
      permit.fail('reset');
      expect(look()).toEqual(['open', 0, 4_000]);
    },
  );

  it('prolongs it by the longer Retry-After that it brings', () => {
    const { breaker, fail } = setUp();
    const [longer, shorter] = [pass(breaker), pass(breaker)];
    fail(5);
    longer.fail('429', 20_000);
    shorter.fail('429', 5_000);
    expect(breaker.waitMs()).toBe(20_000);
  });
});
