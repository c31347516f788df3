import { expect, it } from 'vitest';
import { createMemoryLedger } from './ledger.ts';

it('tells the keys that are not delivered, each once, in their order', async () => {
  const ledger = createMemoryLedger();
  expect(await ledger.undelivered(['b', 'a', 'b', 'c'])).toEqual(['b', 'a', 'c']);
  await ledger.markDelivered('a');
  await ledger.markDelivered('a');
  expect(await ledger.undelivered(['b', 'a', 'b', 'c'])).toEqual(['b', 'c']);
  expect(await ledger.undelivered([])).toEqual([]);
});
