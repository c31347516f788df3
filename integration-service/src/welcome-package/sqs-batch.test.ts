import type { SQSRecord } from 'aws-lambda';
import { createLogger } from 'service-kit/logger';
import { expect, it } from 'vitest';
import { workBatch } from './sqs-batch.ts';

const log = createLogger({ name: 'test', level: 'silent' });

/** Starts a batch of customers (`a2` is the second one of group `a`); the test ends their deliveries. */
function begin(ids: string[], concurrency: number) {
  const begun: string[] = [];
  const ends = new Map<string, (reason?: string) => void>();
  const records = ids.map((id) => ({
    messageId: id,
    body: JSON.stringify({ event_type: 'CREATE', customer: { id } }),
    attributes: { MessageGroupId: id[0] },
  })) as SQSRecord[];
  const result = workBatch(records, {
    concurrency,
    deliver({ id }) {
      begun.push(id);
      return new Promise((resolve) => ends.set(id, resolve));
    },
    signal: new AbortController().signal,
    log,
  });
  return {
    begun,
    result,
    async end(id: string, reason?: string) {
      ends.get(id)?.(reason);
      await new Promise(setImmediate);
    },
  };
}

it('has as many groups under way as it may, and of each one message', async () => {
  const { begun, result, end } = begin(['a1', 'b1', 'a2', 'c1', 'b2'], 2);
  expect(begun).toEqual(['a1', 'b1']);
  await end('b1');
  expect(begun).toEqual(['a1', 'b1', 'b2']);
  await end('b2');
  expect(begun).toEqual(['a1', 'b1', 'b2', 'c1']);
  await end('a1');
  expect(begun).toEqual(['a1', 'b1', 'b2', 'c1', 'a2']);
  await end('a2');
  await end('c1');
  expect(await result).toEqual({ batchItemFailures: [] });
});

it('begins nothing more of a group in which one has failed, and names what failed in its order', async () => {
  const { begun, result, end } = begin(['a1', 'b1', 'a2', 'b2', 'a3'], 2);
  await end('b1', 'no luck');
  await end('a1');
  await end('a2', 'no luck');
  expect(begun).toEqual(['a1', 'b1', 'a2']);
  expect(await result).toEqual({
    batchItemFailures: ['b1', 'a2', 'b2', 'a3'].map((itemIdentifier) => ({ itemIdentifier })),
  });
});

it('takes an error of a delivery for its failure, and goes on with the others', async () => {
  const records = ['a', 'b'].map((id) => ({
    messageId: id,
    body: JSON.stringify({ event_type: 'CREATE', customer: { id } }),
  })) as SQSRecord[];
  const deliver = async ({ id }: { id: string }) => {
    if (id === 'a') throw new Error('a mistake of ours');
    return undefined;
  };
  const { signal } = new AbortController();
  expect(await workBatch(records, { concurrency: 1, deliver, signal, log })).toEqual({
    batchItemFailures: [{ itemIdentifier: 'a' }],
  });
});

it('begins nothing when the time is over', async () => {
  const begun: string[] = [];
  const record = { messageId: '1', body: '{"event_type":"CREATE","customer":{"id":"a"}}' };
  const answer = await workBatch([record as SQSRecord], {
    concurrency: 1,
    async deliver({ id }) {
      begun.push(id);
      return undefined;
    },
    signal: AbortSignal.abort(),
    log,
  });
  expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: '1' }] });
  expect(begun).toEqual([]);
});

it('takes a message that begins with a byte order mark', async () => {
  const body = `\ufeff${JSON.stringify({ event_type: 'CREATE', customer: { id: 'a' } })}`;
  const delivered: string[] = [];
  const deliver = async ({ id }: { id: string }) => void delivered.push(id);
  const { signal } = new AbortController();
  const records = [{ messageId: '1', body }] as SQSRecord[];
  await workBatch(records, { concurrency: 1, deliver, signal, log });
  expect(delivered).toEqual(['a']);
});
