/** Light: the migrations run while the flow is off, too. */
import type { FlowMigrations } from '../delivery/ledger/migrations.ts';
import { createFileTable } from './files/file-table.ts';
import { createJoinTables } from './join.ts';
import { createRecordTable } from './record-table.ts';
import { createViews } from './views.ts';

export const analyticsMigrations: FlowMigrations = {
  '2026-12-01-analytics': {
    async up(db) {
      await createRecordTable(db);
      await createJoinTables(db);
      await createFileTable(db);
      await createViews(db);
    },
  },
};
