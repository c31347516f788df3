/** A process that uses a ledger together with others, and prints what it ingested and claimed. */
import { pino } from 'pino';
import { openLedger } from '../../src/delivery/ledger/open-ledger.ts';

const { location, flow, count } = JSON.parse(process.argv[2] as string);
const ledger = await openLedger(location, pino({ level: 'silent' }));
const now = Date.now();
const keys = Array.from({ length: count }, (_, i) => `key-${i}`);
const items = keys.map((key) => ({ key, lane: key, payload: '{}' }));
const rules = { name: flow, supersedes: false, hasOwnKeys: false, keepsLabels: false };
const ingested = await ledger.ingest(rules, async () => items, { now });
const claimed: string[] = [];
for (;;) {
  const claims = await ledger.claim(flow, { order: 'lane', limit: 7, now: Date.now() });
  if (claims.length === 0) break;
  claimed.push(...claims.map(({ key }) => key));
  const { lost } = await ledger.commit(
    claims.map((claim) => ({
      claim,
      transition: {
        status: 'delivered',
        attempts: 1,
        reads: 0,
        nextAttemptAt: null,
        lastError: null,
        event: { what: 'delivered' },
      },
    })),
    Date.now(),
  );
  if (lost.length > 0) throw new Error('lost a claim');
}
await ledger.close();
process.stdout.write(JSON.stringify({ ingested: ingested.items.map(({ key }) => key), claimed }));
