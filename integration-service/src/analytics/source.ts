/** The lists of a system, as a source of what has changed in them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { chunksOf } from '../delivery/chunks.ts';
import type { Item } from '../delivery/delivery.ts';
import type { PolledSource, Reading } from '../delivery/flow.ts';
import type { CycleLog } from '../delivery/ingest/cycle-log.ts';
import type { Ledger, Produce, RejectedRecord } from '../delivery/ledger/ledger.ts';
import { unusableRecord } from '../delivery/ledger/record-identity.ts';
import { ReadError } from '../delivery/target.ts';
import { withoutExcerpt } from '../http/response.ts';
import { createCompressedLines } from '../systems/compressed-lines.ts';
import type { createListReader } from '../systems/list-reader.ts';
import { joinRecords, keyOf } from './join.ts';
import { type Kind, parseRecord } from './record.ts';
import { findChanges, type HashedRecord, hashOf, noteChanges } from './record-table.ts';

/** A list that is read. */
export interface RecordList {
  kind: Kind;
  reader: Pick<ReturnType<typeof createListReader>, 'read'>;
}

export interface RecordSourceOptions
  extends Pick<PolledSource, 'name' | 'system' | 'pause' | 'intervalMs' | 'sweepIntervalMs'> {
  /** Read in this order: what is joined with others comes behind them. */
  lists: readonly RecordList[];
  /** Attempts before the next interval. */
  maxAttempts: number;
  /** Before the second attempt; doubled before each further one. */
  retryDelayMs: number;
  /** Unix time in milliseconds. */
  now: () => number;
}

/** The snapshots of the lists, by kind. */
const positionSchema = z.record(z.string(), z.unknown()).catch({});
/** Records that are taken in together: few, so that others who write get their turn. */
const CHUNK = 1_000;
/** A list that has only unusable records must not fill the memory. */
const MAX_INVALID = 1_000;

type Lines = ReturnType<typeof createCompressedLines>;
interface Shown {
  kind: Kind;
  lines: Lines;
}
/** What the lists of a source have shown. */
interface Gathered {
  shown: Shown[];
  position: Record<string, unknown>;
  isAnyUsable: boolean;
  invalid: RejectedRecord[];
  invalidCount: number;
}

export function createRecordSource(options: RecordSourceOptions): PolledSource {
  const { lists, maxAttempts, retryDelayMs, now, ...rest } = options;
  const { system, pause } = rest;

  function* produces(shown: readonly Shown[]): Generator<Produce> {
    for (const records of hashedChunks(shown)) {
      yield async (transaction) => {
        const seenAt = now();
        const changed = await noteChanges(transaction, records, seenAt);
        return joinRecords(transaction, changed, seenAt);
      };
    }
    // Those that have waited long enough, also when nothing else has come.
    yield (transaction) => joinRecords(transaction, [], now());
  }

  async function read(known: Record<string, unknown>, signal: AbortSignal): Promise<Reading> {
    const gathered = await gather(lists, known, { signal, onRead: () => pause.succeed() });
    const { shown = [], position = known, ...counts } = gathered ?? {};
    return {
      ...{ kind: 'records', isAnyUsable: true, invalid: [], invalidCount: 0 },
      ...counts,
      ...{ position, chunks: produces(shown), isWhole: Object.keys(known).length === 0 },
    };
  }

  async function readPatiently(
    known: Record<string, unknown>,
    signal: AbortSignal,
    log: CycleLog['log'],
  ): Promise<Reading> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await read(known, signal);
      } catch (error) {
        if (!(error instanceof ReadError)) throw error;
        const { message, isUnauthorized, isThrottled, retryAfterMs } = error;
        if (!signal.aborted)
          log.error(
            `Failed to read the lists of the ${system} (Attempt ${attempt}/${maxAttempts}): ${message}`,
          );
        if (attempt < maxAttempts && !isUnauthorized && !isThrottled && !signal.aborted) {
          await sleep(retryDelayMs * 2 ** (attempt - 1), undefined, { signal }).catch(() => {});
          continue;
        }
        return {
          ...{ kind: 'failed', reason: withoutExcerpt(message), isUnauthorized },
          throttled: isThrottled ? { retryAfterMs } : undefined,
        };
      }
    }
  }

  return {
    ...{ kind: 'polled', noun: 'record', cycle: `Reading of the ${system}` },
    ...rest,
    read: (from, signal, log) => readPatiently(positionSchema.parse(from ?? {}), signal, log),
  };
}

/**
 * Reads the lists that have changed; `undefined` when none has.
 *
 * @param onRead called when a system has answered
 * @throws {ReadError}
 */
async function gather(
  lists: readonly RecordList[],
  known: Record<string, unknown>,
  { signal, onRead }: { signal?: AbortSignal; onRead?: () => void } = {},
): Promise<Gathered | undefined> {
  const gathered: Gathered = {
    ...{ shown: [], position: { ...known }, isAnyUsable: false, invalid: [], invalidCount: 0 },
  };
  for (const { kind, reader } of lists) {
    const reading = await reader.read({ known: known[kind], signal });
    onRead?.();
    if (!reading) continue;
    const lines = createCompressedLines();
    let position = 0;
    for await (const record of reading.records) {
      const flaw = parseRecord(kind, record);
      if (typeof flaw === 'string') {
        gathered.invalidCount += 1;
        if (gathered.invalid.length < MAX_INVALID)
          gathered.invalid.push(unusableRecord(record, position, flaw));
      } else {
        gathered.isAnyUsable = true;
        lines.add(JSON.stringify(record));
      }
      position += 1;
    }
    gathered.position[kind] = reading.snapshot();
    gathered.shown.push({ kind, lines });
  }
  return gathered.shown.length > 0 ? gathered : undefined;
}

function* hashedChunks(shown: readonly Shown[]): Generator<HashedRecord[]> {
  for (const { kind, lines } of shown) {
    for (const chunk of chunksOf(lines, CHUNK)) {
      yield chunk.flatMap((line) => {
        const record: unknown = JSON.parse(line);
        const parsed = parseRecord(kind, record);
        return typeof parsed === 'string' ? [] : [{ ...parsed, hash: hashOf(record) }];
      });
    }
  }
}

/**
 * Items of what the lists show and the ledger has not taken in, without their content.
 *
 * @param onInvalid called with each record that cannot be used
 * @throws {ReadError}
 */
export async function* listUnseen(
  lists: readonly RecordList[],
  ledger: Pick<Ledger, 'read'>,
  onInvalid: (record: RejectedRecord) => void,
): AsyncGenerator<Item> {
  const { shown = [], invalid = [] } = (await gather(lists, {})) ?? {};
  for (const record of invalid) onInvalid(record);
  for (const records of hashedChunks(shown)) {
    const changed = await ledger.read((db) => findChanges(db, records, 0));
    for (const each of changed) {
      // Of a package request, only the first state is a row.
      if (each.kind === 'package-request' && each.revision > 1) continue;
      yield { key: keyOf(each), lane: each.lane, payload: 'null' };
    }
  }
}
