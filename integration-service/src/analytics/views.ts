import { type Kysely, sql } from 'kysely';
import { isSqlite } from '../delivery/ledger/rows.ts';
import { COLUMNS, type Column, FILE_NAMES } from './columns.ts';
import { ANALYTICS } from './join.ts';
import { kindOf } from './record.ts';

/**
 * Creates a view for each file, with the same rows: those that are written. Of customers who were deleted, the
 * ledger has the rows, and nothing in them.
 */
export async function createViews(db: Kysely<unknown>): Promise<void> {
  const payload = isSqlite(db) ? 'payload' : 'cast(payload as jsonb)';
  const cell = ({ name, type }: Column) => {
    const text = `${payload}->>'${name}'`;
    if (isSqlite(db) || type === 'text') return `${text} as ${name}`;
    const isNumber = `jsonb_typeof(${payload}->'${name}') = 'number'`;
    return `case when ${isNumber} then cast(${text} as numeric) end as ${name}`;
  };
  for (const name of FILE_NAMES) {
    const prefix = `${kindOf(name)}/`;
    await sql
      .raw(`create view ${name} as
        select ${COLUMNS[name].map(cell).join(', ')} from deliveries
        where flow = '${ANALYTICS}' and status = 'delivered'
          and substr(key, 1, ${prefix.length}) = '${prefix}'`)
      .execute(db);
  }
}
