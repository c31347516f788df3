/** `npm run sql`: shows what a statement reads from the ledger's database. */
import { parseArgs } from 'node:util';
import { print } from 'service-kit/terminal';
import { queryLedger } from '../delivery/ledger/query.ts';
import { QueryError } from '../delivery/ledger/query-answer.ts';
import { runCommand, UnableError, UsageError } from './command.ts';
import { printTable } from './table.ts';

const USAGE = `Usage: npm run --silent sql -- [options] "<statement>"

Shows what one SQL statement reads from the ledger's database, SQLite or PostgreSQL. It cannot write, and a
running service does not wait for it. Worth a look: the view failed_requests; the tables deliveries, events
and customers.

  --json   prints a JSON array with an object for each row
  --help   this text

Exit code: 0, or 2 when the statement could not be run.`;

function parse() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  });
  const [statement = '', ...more] = positionals;
  if (statement.trim() === '' || more.length > 0) {
    throw new UsageError('One statement is needed, in quotation marks.');
  }
  return { statement, json: values.json };
}

await runCommand(USAGE, parse, async ({ config }, { statement, json }) => {
  const { columns, rows } = await queryLedger(config.LEDGER_URL, statement).catch((error) => {
    throw error instanceof QueryError ? new UnableError(error.message, { cause: error }) : error;
  });
  if (json) {
    const objects = rows.map((row) =>
      Object.fromEntries(columns.map((name, i) => [name, plain(row[i])])),
    );
    print(JSON.stringify(objects));
  } else if (rows.length === 0) print('No rows.');
  else
    printTable(
      columns,
      rows.map((row) => row.map(textOf)),
    );
  return 0;
});

/** A value as JSON has it: bytes in hexadecimal digits, and what is no safe number as text. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (typeof value !== 'bigint') return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function textOf(value: unknown): string {
  const shown = plain(value);
  return typeof shown === 'string' ? shown : JSON.stringify(shown);
}
