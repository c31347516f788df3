/** A process that changes a customer and is killed: inside the transaction, or right after it. */
import { pino } from 'pino';
import { createShop } from '../../../src/customer-sync/shop.ts';
import { createGroupChange } from '../../../src/delivery/ingest/group-change.ts';
import type { IngestRules, LedgerTransaction } from '../../../src/delivery/ledger/ledger.ts';
import { openLedger } from '../../../src/delivery/ledger/open-ledger.ts';
import { FLOW_MIGRATIONS } from '../../../src/flows.ts';

const { location, diesAt, operation, id } = JSON.parse(process.argv[2] as string);
const flowMigrations = FLOW_MIGRATIONS;
const ledger = await openLedger(location, pino({ level: 'silent' }), { flowMigrations });
const rules: IngestRules = {
  name: 'customer-sync',
  supersedes: true,
  hasOwnKeys: true,
  keepsLabels: true,
};
const die = () => {
  process.kill(process.pid, 'SIGKILL');
  return new Promise<never>(() => {});
};
const shop = createShop({
  ...{ ledger, now: Date.now },
  change: createGroupChange({
    isGrouped: true,
    write(produce) {
      const dying = async (transaction: LedgerTransaction) => {
        const items = await produce(transaction);
        return diesAt === 'inside' ? die() : items;
      };
      return ledger.ingest(rules, dying, { now: Date.now() });
    },
  }),
});
const email = `${operation}@example.com`;
const input = { name: 'Jane Roe', email, phone: null, address: null };
if (operation === 'create') await shop.create(input);
else if (operation === 'replace') await shop.replace(id, input);
else await shop.remove(id);
await die();
