import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createRateLimitedLog } from './rate-limited-log.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setUp(level: string) {
  const lines: string[] = [];
  const log = pino({ level }, { write: (line: string) => lines.push(JSON.parse(line).msg) });
  return { logLimited: createRateLimitedLog(log), lines };
}

const many = (count: number) => Array.from({ length: count }, (_, i) => `customer ${i}`);

it('shows the first hundred lines of a kind and counts the rest, every ten seconds', () => {
  const { logLimited, lines } = setUp('info');
  for (let window = 0; window < 2; window++) {
    for (const line of many(250)) logLimited('new customers', line);
    logLimited('packages', 'a package');
    expect(lines.splice(0)).toEqual([...many(100), 'a package']);
    vi.advanceTimersByTime(10_000);
    expect(lines.splice(0)).toEqual(['… and 150 more new customers.']);
  }
});

it('shows all of them at debug level, and counts none where none was left out', () => {
  const debug = setUp('debug');
  for (const line of many(101)) debug.logLimited('new customers', line);
  expect(debug.lines).toEqual(many(101));
  const info = setUp('info');
  for (const line of many(100)) info.logLimited('new customers', line);
  vi.advanceTimersByTime(10_000);
  expect(info.lines).toEqual(many(100));
});
