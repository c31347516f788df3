/**
 * How long the Lambda function takes for a batch. Uses the function's environment; the inventory must run:
 *
 * INVENTORY_API_URL=http://localhost:8001/package-requests node integration-service/bench/lambda.ts
 */
import { randomUUID } from 'node:crypto';
import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { createLogger } from 'service-kit/logger';
import { endWithoutReader } from 'service-kit/terminal';
import { parseLambdaConfig } from '../src/welcome-package/lambda-config.ts';
import { createSqsHandler } from '../src/welcome-package/sqs-handler.ts';
import { formatFigure, TABLE_HEAD } from './figures.ts';

const RUNS = 5;

endWithoutReader();
const log = createLogger({ name: 'bench', level: 'silent' });
const handle = createSqsHandler(parseLambdaConfig(process.env), log);

process.stdout.write(`${TABLE_HEAD}\n`);
await measure('the first batch, of 1', [batchOf(1)]);
for (const size of [1, 10, 100, 1_000]) {
  const batches = Array.from({ length: RUNS }, () => batchOf(size));
  await measure(`new customers: ${size}`, batches);
  await measure(`the same again: ${size}`, batches);
}

function batchOf(size: number): SQSEvent {
  const records = Array.from({ length: size }, () => {
    const customer = { id: randomUUID(), name: 'Jane Doe' };
    const body = JSON.stringify({ event_type: 'CREATE', customer });
    return { messageId: randomUUID(), body, attributes: {} } as SQSRecord;
  });
  return { Records: records };
}

async function measure(what: string, batches: SQSEvent[]): Promise<void> {
  const values: number[] = [];
  for (const batch of batches) {
    const beganAt = performance.now();
    const { batchItemFailures: failed } = await handle(batch);
    if (failed.length > 0) throw new Error(`${what}: ${failed.length} failed`);
    values.push(performance.now() - beganAt);
  }
  process.stdout.write(`${formatFigure({ what, unit: 'ms', values })}\n`);
}
