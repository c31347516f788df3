import { expect, it, vi } from 'vitest';
import { isoNow } from './iso-time.ts';

it('tells the time of now, also when the clock is set back', () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  for (const ms of [0, 0, 1, 1_700_000_000_123, 1_700_000_000_124, 1_700_000_000_123]) {
    vi.setSystemTime(ms);
    expect(isoNow()).toBe(new Date(ms).toISOString());
  }
  vi.useRealTimers();
});
