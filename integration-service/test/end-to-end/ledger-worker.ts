/** A process that uses a ledger together with others, and prints what it ingested and claimed. */
import { pino } from 'pino';
import type { CommitEntry } from '../../src/delivery/ledger/ledger.ts';
import { LedgerError } from '../../src/delivery/ledger/ledger-error.ts';
import { openLedger } from '../../src/delivery/ledger/open-ledger.ts';

/** Tries again while others keep the ledger locked, as a service does that is started again. */
async function patiently<Result>(work: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LedgerError) || error.fault !== 'unreachable') throw error;
    }
  }
}

const { location, flow, count } = JSON.parse(process.argv[2] as string);
const ledger = await patiently(() => openLedger(location, pino({ level: 'silent' })));
const now = Date.now();
const keys = Array.from({ length: count }, (_, i) => `key-${i}`);
const items = keys.map((key) => ({ key, lane: key, payload: '{}' }));
const rules = { name: flow, supersedes: false, hasOwnKeys: false, keepsLabels: false };
const ingested = await patiently(() => ledger.ingest(rules, async () => items, { now }));
const claimed: string[] = [];
for (;;) {
  const claims = await patiently(() =>
    ledger.claim(flow, { order: 'lane', limit: 7, now: Date.now() }),
  );
  if (claims.length === 0) break;
  claimed.push(...claims.map(({ key }) => key));
  const entries = claims.map((claim): CommitEntry => {
    const event = { what: 'delivered' };
    const counts = { attempts: 1, reads: 0, nextAttemptAt: null, lastError: null };
    return { claim, transition: { status: 'delivered', ...counts, event } };
  });
  const { lost } = await patiently(() => ledger.commit(entries, Date.now()));
  if (lost.length > 0) throw new Error('lost a claim');
}
await ledger.close();
process.stdout.write(JSON.stringify({ ingested: ingested.items.map(({ key }) => key), claimed }));
