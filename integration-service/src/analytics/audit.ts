/** What the files should have, by the ledger and by the systems, and what they have. */
import { join } from 'node:path';
import type { Difference } from '../delivery/audit/kinds.ts';
import type { Item } from '../delivery/delivery.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import { type Holding, ReadError } from '../delivery/target.ts';
import { type Cells, COLUMNS, FILE_NAMES, type FileName } from './columns.ts';
import { cellOf } from './csv.ts';
import { readFiles } from './files/file-table.ts';
import { readRows } from './files/read-rows.ts';
import { ANALYTICS, keyOf } from './join.ts';
import { KINDS, kindOf } from './record.ts';

const PAGE = 1_000;

/** What a row is, as it is there. */
interface RowContent {
  file: FileName;
  cells: Record<string, string>;
}

/**
 * The rows of all files, each by the key of its delivery; a row that no key can be made of, by its place.
 *
 * @throws {ReadError}
 */
export async function* listRows(
  folder: string,
  ledger: Pick<Ledger, 'within'>,
): AsyncGenerator<Holding> {
  const known = await ledger.within(readFiles);
  for (const name of FILE_NAMES) {
    try {
      const length = known.get(name)?.length ?? 0;
      for await (const { row, cells } of readRows(join(folder, `${name}.csv`), length)) {
        const targetId = `${name}.csv, row ${row}`;
        const content: RowContent = { file: name, cells };
        yield { identity: keyOfRow(name, cells) ?? targetId, targetId, content };
      }
    } catch (error) {
      throw new ReadError((error as Error).message, { system: 'files', cause: error });
    }
  }
}

function keyOfRow(name: FileName, cells: Record<string, string>): string | undefined {
  const kind = kindOf(name);
  const { [KINDS[kind].id]: id, revision, hash } = cells;
  if (!id || !hash || !/^\d+$/.test(revision ?? '')) return undefined;
  return keyOf({ kind, id, revision: Number(revision), hash });
}

/** All that the ledger has ingested and not superseded, with what was written of it. */
export async function* listIngested(ledger: Pick<Ledger, 'list'>): AsyncGenerator<Item> {
  const status = ['pending', 'sending', 'unknown', 'delivered', 'held', 'dead'] as const;
  for (let after: number | undefined; ; ) {
    const rows = await ledger.list({ flow: ANALYTICS, status: [...status] }, PAGE, { after });
    for (const { key, lane, payload } of rows) yield { key, lane, payload: payload ?? 'null' };
    after = rows.at(-1)?.sequence;
    if (rows.length < PAGE) return;
  }
}

/** The cells of a row that are not those of its delivery. Nothing is known of a customer who is gone. */
export function differencesOf(expected: unknown, found: unknown): Difference[] {
  if (expected === null) return [];
  const [written, { file, cells }] = [expected as Cells, found as RowContent];
  return COLUMNS[file].flatMap((column): Difference[] => {
    const [value, there] = [cellOf(column, written[column.name]), cells[column.name]];
    return value === there ? [] : [{ field: column.name, expected: value, found: there }];
  });
}
