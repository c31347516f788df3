/** An example of a flow: copies each record of one list to another list, once. */
import { z } from 'zod';
import { type Claim, type Item, nameFlaw } from '../../src/delivery/delivery.ts';
import { type Flow, ONE_BY_ONE, type PolledSource } from '../../src/delivery/flow.ts';
import { idempotencyKey } from '../../src/delivery/idempotency-key.ts';
import { unusableRecord } from '../../src/delivery/ledger/record-identity.ts';
import type { Outcome } from '../../src/delivery/outcome.ts';
import { type Call, type Holding, ReadError } from '../../src/delivery/target.ts';
import type { FlowParts } from '../../src/flow-parts.ts';
import { CallError } from '../../src/http/client.ts';
import { outcomeOfFailure, outcomeOfResponse } from '../../src/http/outcome.ts';
import { readPages } from '../../src/http/pages.ts';
import type { copyListEnvironment } from './environment.ts';

const COPY_LIST = 'copy-list';

const recordSchema = z.looseObject({ id: z.string().refine((id) => !nameFlaw(id)) });

function itemOf(record: z.output<typeof recordSchema>): Item {
  return { key: record.id, lane: record.id, payload: JSON.stringify(record) };
}

export function createFlow(settings: z.output<typeof copyListEnvironment>, parts: FlowParts): Flow {
  const { COPY_FROM_URL: fromUrl, COPY_TO_URL: toUrl } = settings;
  const intervalMs = settings.POLLING_INTERVAL_SECONDS * 1_000;
  const { http, now } = parts;
  const listOf = (system: string) => {
    return { http, system, what: 'records', maxBytes: 1_000_000, mayBeOlder: false, now };
  };

  async function* readRecords(
    onUnusable?: (record: ReturnType<typeof unusableRecord>) => void,
    signal?: AbortSignal,
  ) {
    let position = 0;
    for await (const value of readPages(listOf('source'), { url: fromUrl, signal })) {
      const record = recordSchema.safeParse(value).data;
      if (record) yield itemOf(record);
      else onUnusable?.(unusableRecord(value, position, 'it has no id that can be stored'));
      position += 1;
    }
  }

  const source: PolledSource = {
    ...{ kind: 'polled', name: 'list', system: 'source', noun: 'record' },
    ...{ pause: parts.pauseOf('source'), intervalMs, sweepIntervalMs: intervalMs },
    async read(_from, signal) {
      const items: Item[] = [];
      const invalid: ReturnType<typeof unusableRecord>[] = [];
      try {
        for await (const item of readRecords((record) => invalid.push(record), signal)) {
          items.push(item);
        }
      } catch (error) {
        if (!(error instanceof ReadError)) throw error;
        const { message: reason, isUnauthorized, isThrottled, retryAfterMs } = error;
        return {
          ...{ kind: 'failed', reason, isUnauthorized },
          throttled: isThrottled ? { retryAfterMs } : undefined,
        };
      }
      const invalidCount = invalid.length;
      return { kind: 'items', items, invalid, invalidCount, isWhole: true, position: undefined };
    },
  };

  async function send({ key, payload }: Claim, call: Call): Promise<Outcome> {
    try {
      const response = await http.send({
        ...{ method: 'POST', url: toUrl, body: payload, maxBytes: 1_000_000 },
        headers: { 'idempotency-key': idempotencyKey(COPY_LIST, key) },
        ...call,
      });
      const find = (body: unknown) => recordSchema.safeParse(body).data?.id;
      return outcomeOfResponse(response, find, now());
    } catch (error) {
      if (error instanceof CallError) return outcomeOfFailure(error);
      throw error;
    }
  }

  async function* list(signal?: AbortSignal): AsyncIterable<Holding> {
    for await (const value of readPages(listOf('target'), { url: toUrl, signal })) {
      const record = recordSchema.safeParse(value).data;
      if (record) yield { identity: record.id, targetId: record.id, content: record };
    }
  }

  return {
    name: COPY_LIST,
    target: {
      name: 'target',
      isRepeatable: false,
      lookUpAfterMs: [500, 2_000, 8_000],
      send: async (batch, call) => ({
        outcomes: await Promise.all(batch.map((claim) => send(claim, call))),
      }),
      list,
    },
    sources: [source],
    policy: {
      ...{ order: 'lane', supersedes: false, hasOwnKeys: false, keepsLabels: false },
      batch: ONE_BY_ONE,
      concurrency: settings.DELIVERY_CONCURRENCY,
      maxAttempts: settings.MAX_ATTEMPTS,
    },
    laneOf: (id) => id,
    adopt: ({ content }) => itemOf(recordSchema.parse(content)),
    audit: {
      kinds: {
        missing: 'in the source, not in the target',
        doubled: 'several times in the target',
        orphaned: 'in the target, not in the source',
        dead: 'given up, until replayed',
        held: 'kept back, until released',
        in_flight: 'on their way',
      },
      ...{ source: source.name, intervalMs, expected: readRecords },
    },
  };
}
