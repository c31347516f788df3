/**
 * How long the Lambda function takes for a batch. Uses the function's environment; the inventory must run:
 *
 * INVENTORY_API_URL=http://localhost:8001/package-requests node integration-service/bench/lambda.ts
 */
import { randomUUID } from 'node:crypto';
import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { parseEnvironment } from 'service-kit/environment';
import { createLogger } from 'service-kit/logger';
import { endWithoutReader } from 'service-kit/terminal';
import { lambdaEnvironment } from '../src/welcome-package/environment.ts';
import { createSqsHandler } from '../src/welcome-package/sqs-handler.ts';

const RUNS = 5;
const SIZES = [1, 10, 100, 1_000];

endWithoutReader();
const log = createLogger({ name: 'bench', level: 'silent' });
const handle = createSqsHandler(parseEnvironment(lambdaEnvironment, process.env), log);

await measure('the first batch, of 1', [batchOf(1)]);
for (const size of SIZES) {
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

/** Prints minimum, median and maximum of each figure. */
async function measure(name: string, batches: SQSEvent[]): Promise<void> {
  const figures: Record<string, number[]> = {};
  for (const batch of batches) {
    const beganAt = performance.now();
    const { batchItemFailures } = await handle(batch);
    const ms = Math.round(performance.now() - beganAt);
    const failed = batchItemFailures.length;
    for (const [figure, value] of Object.entries({ ms, failed })) {
      figures[figure] = [...(figures[figure] ?? []), value];
    }
  }
  const cells = Object.entries(figures).map(([figure, values]) => {
    values.sort((a, b) => a - b);
    const [least, median, most] = [0, values.length >> 1, values.length - 1].map((i) => values[i]);
    return `${figure} ${median} (${least} … ${most})`;
  });
  process.stdout.write(`${name.padEnd(24)} ${cells.join('  ')}\n`);
}
