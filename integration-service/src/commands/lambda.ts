/** `npm run lambda`: runs the built Lambda function on an event, without AWS. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { EnvironmentError } from 'service-kit/environment';
import { parseForeignJson } from 'service-kit/foreign-json';
import { print } from 'service-kit/terminal';
import { runProgram, UnableError, UsageError } from './command.ts';

const USAGE = `Usage: npm run lambda -- <event file>

Runs the function that npm run build:lambda has built, with the messages of an SQS event as Lambda hands
them over, against the inventory of INVENTORY_API_URL (default: the one of npm start). Prints its
answer as one JSON object; its log goes to standard error.

  --help   this text

An event to begin with: integration-service/events/customer-created.json

Exit code: 0, or 1 when messages failed, 2 when it could not run.`;

const BUILT = new URL('../../dist/lambda.mjs', import.meta.url);

await runProgram(USAGE, async () => {
  const [path, ...more] = parseArgs({ allowPositionals: true }).positionals;
  if (path === undefined || more.length > 0) throw new UsageError('One event file is needed.');
  if (!existsSync(BUILT)) {
    throw new UnableError('There is no function yet: npm run build:lambda builds it.');
  }
  const event = readEventFile(path);
  const { INVENTORY_API_URL, INVENTORY_API_URL_FILE, INVENTORY_API_PORT } = process.env;
  if (!INVENTORY_API_URL && !INVENTORY_API_URL_FILE) {
    const port = INVENTORY_API_PORT || 8001;
    process.env.INVENTORY_API_URL = `http://localhost:${port}/package-requests`;
  }
  const { handler } = await import(BUILT.href);
  const answer: SQSBatchResponse = await handler(event).catch((error: unknown) => {
    // The function parses its environment at the first event. Its bundle has its own copies of the classes.
    const { problems } = error as Partial<EnvironmentError>;
    throw problems ? new UnableError(problems.join('\n')) : error;
  });
  print(JSON.stringify(answer));
  return answer.batchItemFailures.length > 0 ? 1 : 0;
});

function readEventFile(path: string): SQSEvent {
  // npm runs this in the folder of the package; INIT_CWD is the folder where npm was called.
  const file = resolve(process.env.INIT_CWD ?? '', path);
  let event: SQSEvent | null;
  try {
    event = parseForeignJson(readFileSync(file)) as SQSEvent | null;
  } catch (error) {
    throw new UnableError(`${file} cannot be read: ${(error as Error).message}`);
  }
  if (!Array.isArray(event?.Records)) {
    throw new UnableError(`${file} is no SQS event: it has no list of Records.`);
  }
  return event;
}
