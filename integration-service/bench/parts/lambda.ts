import { randomUUID } from 'node:crypto';
import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { parseEnvironment } from 'service-kit/environment';
import { createLogger } from 'service-kit/logger';
import { lambdaEnvironment } from '../../src/welcome-package/environment.ts';
import { createSqsHandler } from '../../src/welcome-package/sqs-handler.ts';
import type { BenchOptions, Figure } from '../figures.ts';
import { startService } from '../processes.ts';

/** How long the Lambda function, in this process, takes for a batch. */
export async function* benchLambda({ runs }: BenchOptions): AsyncGenerator<Figure> {
  await using inventory = await startService('inventory-api');
  const config = parseEnvironment(lambdaEnvironment, {
    INVENTORY_API_URL: `${inventory.url}/package-requests`,
  });
  const handle = createSqsHandler(config, createLogger({ name: 'bench', level: 'silent' }));

  async function measure(what: string, batches: SQSEvent[]): Promise<Figure> {
    const values: number[] = [];
    for (const batch of batches) {
      const beganAt = performance.now();
      const { batchItemFailures: failed } = await handle(batch);
      if (failed.length > 0) throw new Error(`${what}: ${failed.length} failed`);
      values.push(performance.now() - beganAt);
    }
    return { what, unit: 'ms', values };
  }

  yield await measure('the first batch, of 1', [batchOf(1)]);
  for (const size of [1, 10, 100, 1_000]) {
    const batches = Array.from({ length: runs }, () => batchOf(size));
    yield await measure(`new customers: ${size}`, batches);
    yield await measure(`the same again: ${size}`, batches);
  }
}

function batchOf(size: number): SQSEvent {
  const records = Array.from({ length: size }, () => {
    const customer = { id: randomUUID(), name: 'Jane Doe' };
    const body = JSON.stringify({ event_type: 'CREATE', customer });
    return { messageId: randomUUID(), body, attributes: {} } as SQSRecord;
  });
  return { Records: records };
}
