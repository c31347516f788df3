import { createReadStream } from 'node:fs';
import { type Info, parse } from 'csv-parse';

/** A row of a file, as it is there. */
export interface FileRow {
  /** Counted from 1, behind the header. */
  row: number;
  /** Where its line begins, in bytes. */
  offset: number;
  /** By the names in the header. */
  cells: Record<string, string>;
}

/**
 * Reads the rows of a file as they arrive, of so many bytes. Cells that have no name in the header are called by
 * their number.
 *
 * @throws the error of the disk, or of a file that is no CSV
 */
export async function* readRows(path: string, length: number): AsyncGenerator<FileRow> {
  if (length === 0) return;
  const parser = parse({ info: true, relax_column_count: true });
  const file = createReadStream(path, { end: length - 1 });
  file.once('error', (error) => parser.destroy(error));
  file.pipe(parser);
  let header: string[] | undefined;
  let row = 0;
  let offset = 0;
  try {
    for await (const { record, info } of parser as AsyncIterable<Parsed>) {
      if (header) {
        row += 1;
        yield { row, offset, cells: Object.fromEntries(named(record, header)) };
      } else header = record;
      offset = info.bytes;
    }
  } finally {
    file.destroy();
  }
}

interface Parsed {
  record: string[];
  info: Info;
}

function named(record: readonly string[], header: readonly string[]): [string, string][] {
  return record.map((cell, i) => [header[i] ?? String(i + 1), cell]);
}
