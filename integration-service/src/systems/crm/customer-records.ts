/** A CRM that keeps customers by id, each at a version that guards it. */
import { parseForeignJson } from 'service-kit/foreign-json';
import { z } from 'zod';
import type { Outcome } from '../../delivery/outcome.ts';
import { type Call, ReadError } from '../../delivery/target.ts';
import { CallError, type HttpClient, type HttpResponse } from '../../http/client.ts';
import { hideSecrets } from '../../http/hide-secrets.ts';
import { outcomeOfFailure, outcomeOfResponse } from '../../http/outcome.ts';
import { describeResponse } from '../../http/response.ts';
import { canonicalId, idFlaw } from '../customer-id.ts';
import { createListReader, type ListReading, type ReadOptions } from '../list-reader.ts';

/** An answer about one customer has no reason to be larger. */
const MAX_ANSWER_BYTES = 1_000_000;
const [GONE, STALE] = [[404, 410], 412];

const recordSchema = z.looseObject({
  id: z.string().transform(canonicalId),
  version: z.int().optional().catch(undefined),
});
const staleSchema = z.object({ version: z.int() });

/** A customer that the CRM has. */
export interface CustomerRecord {
  /** In the canonical form. */
  id: string;
  /** `undefined` if the CRM does not say. */
  version: number | undefined;
  /** All that the CRM shows. */
  content: Record<string, unknown>;
}

export interface CustomerRecordsOptions {
  http: HttpClient;
  /** The list of customers; each has its id as one more segment of the path. */
  url: URL;
  /** The largest list that is read. */
  maxResponseBytes: number;
  /** Unix time in milliseconds. */
  now: () => number;
}

export interface CustomerRecords {
  /**
   * One attempt to create or replace a customer. Never throws.
   *
   * @param body the customer as JSON text, with its id and version
   */
  put(id: string, version: number, body: string, call: Call): Promise<Outcome>;
  /** One attempt to delete a customer; delivered when a read says that it is gone. Never throws. */
  remove(id: string, version: number, call: Call): Promise<Outcome>;
  /**
   * Whether the CRM has a customer.
   *
   * @throws {ReadError} also at an answer that says neither
   */
  has(id: string, signal?: AbortSignal): Promise<boolean>;
  /**
   * Reads all customers. Returns `undefined` if the list is still the one that is known.
   *
   * @throws {ReadError}
   */
  read(options?: ReadOptions): Promise<ListReading<CustomerRecord> | undefined>;
}

export function createCustomerRecords(options: CustomerRecordsOptions): CustomerRecords {
  const { http, url, maxResponseBytes, now } = options;
  const reader = createListReader(
    {
      ...{ http, system: 'CRM', what: 'customers', maxBytes: maxResponseBytes, now },
      mayBeOlder: false,
    },
    url,
  );

  const attempt = async (run: () => Promise<Outcome>): Promise<Outcome> => {
    try {
      const outcome = await run();
      if (!('reason' in outcome)) return outcome;
      return { ...outcome, reason: hideSecrets(outcome.reason, url) };
    } catch (error) {
      if (error instanceof CallError) return outcomeOfFailure(error);
      throw error;
    }
  };

  /** What an answer means that is not a success of its own. */
  function otherwise(response: HttpResponse, isOurs: (body: unknown) => string | undefined) {
    if (response.status === STALE) return stale(response);
    return outcomeOfResponse(response, isOurs, now());
  }

  /** Whether a deleted customer is gone. */
  async function lookFor(id: string, version: number, signal: AbortSignal): Promise<Outcome> {
    const response = await http.send({
      ...{ method: 'GET', url: urlOf(url, id), maxBytes: MAX_ANSWER_BYTES, signal },
    });
    const { status: statusCode } = response;
    if (GONE.includes(statusCode)) return { kind: 'delivered', targetId: id, statusCode };
    const there = recordOf(response);
    if (there?.id === id && there.version !== undefined && there.version > version) {
      return { kind: 'stale', reason: staleReason(there.version), statusCode };
    }
    const found = outcomeOfResponse(response, () => undefined, now());
    if (statusCode !== 200 && found.kind !== 'permanent') return found;
    // Without the answer: it has what is to be forgotten.
    const isThere = statusCode === 200 && there?.id === id;
    const reason = isThere
      ? 'it was deleted, and is still there'
      : `it was deleted, and whether it is gone is not known: ${describeResponse(response)}`;
    return { kind: 'unknown', reason, statusCode };
  }

  return {
    put: (id, version, body, call) =>
      attempt(async () => {
        const response = await http.send({
          ...{ method: 'PUT', url: urlOf(url, id), body, maxBytes: MAX_ANSWER_BYTES, ...call },
        });
        return otherwise(response, (answer) => {
          const record = recordSchema.safeParse(answer).data;
          return record?.id === id && record.version === version ? id : undefined;
        });
      }),

    remove: (id, version, { signal, onSend }) =>
      attempt(async () => {
        const at = urlOf(url, id);
        at.searchParams.set('version', String(version));
        const response = await http.send({
          ...{ method: 'DELETE', url: at, maxBytes: MAX_ANSWER_BYTES, signal, onSend },
        });
        const { status } = response;
        if (status >= 200 && status < 300) {
          const looked = await lookFor(id, version, signal);
          // The status of the read, 404, would look like an error.
          return looked.kind === 'delivered' ? { ...looked, statusCode: status } : looked;
        }
        // A later deletion is what was wanted.
        if (status === STALE) {
          const looked = await lookFor(id, version, signal);
          return looked.kind === 'delivered' ? looked : stale(response);
        }
        if (!GONE.includes(status)) return otherwise(response, () => undefined);
        // At a wrong address nothing is there, either: only what lists customers can say that one is gone.
        const list = await reader.read({ signal }).catch((error: ReadError) => error);
        if (list instanceof ReadError) {
          const reason = `${describeResponse(response)}, and it has no list: ${list.message}`;
          const { status: statusCode, isUnauthorized, isThrottled, retryAfterMs } = list;
          const ofList = statusCode === undefined ? {} : { statusCode };
          if (isUnauthorized) return { kind: 'unauthorized', reason, ...ofList };
          if (isThrottled) return { kind: 'throttled', reason, ...ofList, retryAfterMs };
          // Only where no list is, the address is wrong; any other failure may pass.
          const isWrong = GONE.includes(statusCode ?? 0);
          return { kind: isWrong ? 'permanent' : 'unknown', reason, statusCode: status };
        }
        list?.close();
        return lookFor(id, version, signal);
      }),

    async has(id, signal) {
      const at = urlOf(url, id);
      const response = await http
        .send({ method: 'GET', url: at, maxBytes: MAX_ANSWER_BYTES, signal })
        .catch((cause: CallError) => {
          throw new ReadError(hideSecrets(cause.message, url), { system: 'CRM', cause });
        });
      const { status } = response;
      if (GONE.includes(status)) return false;
      if (recordOf(response)?.id === id) return true;
      const message = hideSecrets(describeResponse(response), url);
      throw new ReadError(message, { system: 'CRM', status });
    },

    async read(options) {
      const reading = await reader.read(options);
      return reading && { ...reading, records: customersOf(reading.records) };
    },
  };
}

/** Why a version is refused, in words of ours. */
export function staleReason(version: number): string {
  return `the CRM has version ${version}`;
}

/** The version in such a reason. */
export function versionInReason(reason: string): number | undefined {
  const version = /^the CRM has version (\d+)$/.exec(reason)?.[1];
  return version === undefined ? undefined : Number(version);
}

function stale(response: HttpResponse): Outcome {
  const { version } = staleSchema.safeParse(bodyOf(response)).data ?? {};
  const reason = version === undefined ? describeResponse(response) : staleReason(version);
  return { kind: 'stale', reason, statusCode: STALE };
}

function urlOf(list: URL, id: string): URL {
  const url = new URL(list);
  url.pathname = `${list.pathname.replace(/\/$/, '')}/${encodeURIComponent(id)}`;
  return url;
}

function recordOf(response: HttpResponse) {
  return recordSchema.safeParse(bodyOf(response)).data;
}

function bodyOf({ body }: HttpResponse): unknown {
  try {
    return parseForeignJson(body);
  } catch {
    return undefined;
  }
}

/** The customers of a list. What has no id that can be one of ours is not. */
async function* customersOf(records: AsyncIterable<unknown>): AsyncGenerator<CustomerRecord> {
  let stranger: unknown;
  let isOurs = false;
  for await (const content of records) {
    const record = recordSchema.safeParse(content).data;
    if (record && !idFlaw(record.id)) {
      isOurs = true;
      yield { id: record.id, version: record.version, content: record };
    } else stranger ??= content;
  }
  // No customer could be recognized in such a list, and every one would count as lost.
  if (!isOurs && stranger !== undefined) {
    throw new ReadError('it lists nothing with an id', { system: 'CRM' });
  }
}
