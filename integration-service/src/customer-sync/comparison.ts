/** What the CRM lost is sent again, and what it must not have is deleted again. */
import { z } from 'zod';
import type { Change, PolledSource, Reading } from '../delivery/flow.ts';
import type { CycleLog } from '../delivery/ingest/cycle-log.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import { MOST_NAMED, nameSome } from '../delivery/name-some.ts';
import { ReadError } from '../delivery/target.ts';
import { withoutExcerpt } from '../http/response.ts';
import { type CustomerRecords, staleReason } from '../systems/crm/customer-records.ts';
import { createHeldVersions, type HeldVersions } from './held-versions.ts';
import { CUSTOMER_SYNC, keyOf } from './item.ts';
import type { Shop } from './shop.ts';
import {
  firstDelivered,
  isAnyOpen,
  isChangedSince,
  isNewShop,
  removeAgain,
} from './shop-deliveries.ts';

export interface ComparisonOptions extends Pick<PolledSource, 'pause' | 'intervalMs'> {
  sweepIntervalMs: number;
  crm: CustomerRecords;
  shop: Pick<Shop, 'list'>;
  change: Change;
  ledger: Pick<Ledger, 'read' | 'sendAgain' | 'giveUp' | 'endedLanes'>;
  /** Unix time in milliseconds. */
  now: () => number;
}

type Log = CycleLog['log'];

/** A list of the CRM that had no differences, and when it was asked for, Unix time in milliseconds. */
const positionSchema = z.object({ askedAt: z.number(), snapshot: z.unknown() });

interface Compared {
  /** How many records differed. */
  count: number;
  /** No difference is left whose delivery is on its way. */
  isSettled: boolean;
}

/** How long before its commit, at most, a change is stamped with its time. */
const STAMPED_BEFORE_MS = 60_000;

/** Customers that are compared together: few, so that others who write get their turn. */
const PAGE = 1_000;

/**
 * Compares the CRM's list with the shop, as a source that brings nothing new: the latest version of a customer
 * whom the CRM has lost is sent again, and a customer whom the shop has deleted is deleted again. What is under
 * way, held or dead is left alone, and so are customers that the shop never knew.
 */
export function createComparison(options: ComparisonOptions): PolledSource {
  const { crm, shop, change, ledger, now } = options;
  const { pause, intervalMs, sweepIntervalMs } = options;
  let isEmptinessTold = false;

  async function isShopEmpty(log: Log): Promise<boolean> {
    const isEmpty = await ledger.read(isNewShop);
    if (isEmpty && !isEmptinessTold) {
      isEmptinessTold = true;
      log.info('The shop has no customers yet: it takes none over from the CRM.');
    }
    return isEmpty;
  }

  /**
   * The list on which shop and CRM agreed, if nothing was changed in the shop since: a CRM that has lost such a
   * change may have that list again.
   */
  async function agreedOn(from: unknown): Promise<unknown> {
    const position = positionSchema.safeParse(from).data;
    if (!position) return undefined;
    // A change is stamped before its transaction, and the clocks of replicas differ a bit.
    const since = position.askedAt - STAMPED_BEFORE_MS;
    const isOld = await ledger.read((db) => isChangedSince(db, since));
    return isOld ? undefined : position.snapshot;
  }

  async function read(from: unknown, signal: AbortSignal, log: Log): Promise<Reading> {
    if (await isShopEmpty(log)) return { kind: 'unchanged' };
    const known = await agreedOn(from);
    const askedAt = now();
    const reading = await crm.read({ known, signal });
    pause.succeed();
    if (!reading) return { kind: 'unchanged' };
    const held = createHeldVersions();
    try {
      for await (const { id, version } of reading.records) held.add(id, version);
      const compared = await compareShop(held, askedAt, { log, signal });
      const removed = await compareDeleted(held, askedAt, { log, signal });
      const differences = compared.count + removed.count;
      const isSettled = differences === 0 && compared.isSettled && removed.isSettled;
      const position = isSettled ? { askedAt, snapshot: reading.snapshot() } : undefined;
      return { kind: 'compared', position, differences };
    } finally {
      held.close();
    }
  }

  /** Looks for each customer of the shop in the CRM, and sends them again or gives them up. */
  async function compareShop(
    held: HeldVersions,
    deliveredBefore: number,
    { log, signal }: { log: Log; signal: AbortSignal },
  ): Promise<Compared> {
    let [again, ahead] = [0, 0];
    let isSettled = true;
    let isListWhole: boolean | undefined;
    const named: string[] = [];
    const list = (after?: number) => shop.list(PAGE, after);
    for (let page = await list(); page.length > 0; page = await list(page.at(-1)?.number)) {
      signal.throwIfAborted();
      const [lost, overtaken] = [new Map<string, string>(), new Map<string, string>()];
      const missing: string[] = [];
      for (const { id, version } of page.map(({ customer }) => customer)) {
        const [key, theirs] = [keyOf(id, version), held.find(id)];
        if (theirs === undefined) missing.push(key);
        else if (theirs !== null && theirs < version)
          lost.set(key, `${staleReason(theirs)}, which is older`);
        else if (theirs !== null && theirs > version) overtaken.set(key, staleReason(theirs));
      }
      const at = { deliveredBefore, now: now() };
      isListWhole ??= await isReallyMissing(missing, deliveredBefore, { log, signal });
      if (isListWhole === false) isSettled = false;
      else for (const key of missing) lost.set(key, 'the CRM does not have it');
      const sent = await ledger.sendAgain(CUSTOMER_SYNC, lost, at);
      if (sent < lost.size) {
        isSettled &&= !(await ledger.read((db) => isAnyOpen(db, [...lost.keys()])));
      }
      again += sent;
      const gaveUp = await ledger.giveUp(CUSTOMER_SYNC, overtaken, at);
      ahead += gaveUp;
      if (gaveUp > 0 && named.length < MOST_NAMED) named.push(...overtaken.keys());
    }
    if (again > 0)
      log.warn(
        `The CRM has lost ${again} customer(s), or their latest versions: sending them again.`,
      );
    if (ahead > 0) {
      log.warn(
        `The CRM has later versions than the shop of ${ahead} customer(s) (${nameSome(named, ahead)}): they are dead letters. npm run audit -- --flow ${CUSTOMER_SYNC} --repair sends what the shop has.`,
      );
    }
    return { count: again + ahead, isSettled };
  }

  /**
   * Whether the CRM does not have a customer who is missing in its list: a list may be cut off and not say so.
   * Returns `undefined` when there is nobody to ask for.
   */
  async function isReallyMissing(
    missing: readonly string[],
    deliveredBefore: number,
    { log, signal }: { log: Log; signal: AbortSignal },
  ): Promise<boolean | undefined> {
    const id = await ledger.read((db) => firstDelivered(db, missing, deliveredBefore));
    if (id === undefined) return undefined;
    if (!(await crm.has(id, signal))) return true;
    log.warn(
      `The list of the CRM lacks a customer whom the CRM has (${id}): it may be cut off. Nobody is sent again who is missing in it.`,
    );
    return false;
  }

  /** Deletes whom the CRM has and the shop has deleted. */
  async function compareDeleted(
    held: HeldVersions,
    deliveredBefore: number,
    { log, signal }: { log: Log; signal: AbortSignal },
  ): Promise<Compared> {
    let count = 0;
    let isSettled = true;
    for (
      let rest = held.rest(PAGE, '');
      rest.length > 0;
      rest = held.rest(PAGE, rest.at(-1)?.id ?? '')
    ) {
      const deleted = new Set(await ledger.endedLanes(rest.map(({ id }) => id)));
      for (const { id, version } of rest) {
        // Some systems list for a while whom they have deleted.
        if (!deleted.has(id) || !(await crm.has(id, signal))) continue;
        const done = await removeAgain(change, { id, held: version ?? 0, deliveredBefore });
        if (done === 'removed') count += 1;
        if (done === 'on its way') isSettled = false;
      }
    }
    if (count > 0) log.warn(`The CRM has ${count} deleted customer(s): deleting them again.`);
    return { count, isSettled };
  }

  return {
    ...{ kind: 'polled', name: 'crm', system: 'CRM', noun: 'difference' },
    ...{ cycle: 'Comparison with the CRM', readsTarget: true },
    ...{ pause, intervalMs, sweepIntervalMs },
    async read(from, signal, log) {
      try {
        return await read(from, signal, log);
      } catch (error) {
        // Of the temporary file, when its disk is full: the errors of the ledger are of another class.
        if (error instanceof Error && 'errcode' in error) {
          const reason = `a temporary file cannot be written (${error.message})`;
          log.error(`Failed to compare with the CRM: ${reason}`);
          return { kind: 'failed', reason, isUnauthorized: false };
        }
        if (!(error instanceof ReadError)) throw error;
        const { message, isUnauthorized, isThrottled, retryAfterMs } = error;
        if (!signal.aborted) log.error(`Failed to read the customers of the CRM: ${message}`);
        return {
          ...{ kind: 'failed', reason: withoutExcerpt(message), isUnauthorized },
          throttled: isThrottled ? { retryAfterMs } : undefined,
        };
      }
    },
  };
}
