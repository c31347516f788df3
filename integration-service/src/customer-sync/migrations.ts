/** Light: the migrations run while the flow is off, too. */
import type { FlowMigrations } from '../delivery/ledger/migrations.ts';
import { createCustomerTable } from './customer-table.ts';
import { createFailedRequestsView } from './failed-requests-view.ts';

export const customerSyncMigrations: FlowMigrations = {
  '2026-11-30-customers': {
    async up(db) {
      await createCustomerTable(db);
      await createFailedRequestsView(db);
    },
  },
};
