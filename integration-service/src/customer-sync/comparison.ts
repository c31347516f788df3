/** What the CRM lost is sent again, and what it must not have is deleted again. */
import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { openTemporary } from '../delivery/audit/audit-book.ts';
import { chunksOf } from '../delivery/chunks.ts';
import type { PolledSource, Reading } from '../delivery/flow.ts';
import type { CycleLog } from '../delivery/ingest/cycle-log.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import { nameSome } from '../delivery/name-some.ts';
import { ReadError } from '../delivery/target.ts';
import { withoutExcerpt } from '../http/response.ts';
import { type CustomerRecords, staleReason } from '../systems/crm/customer-records.ts';
import { CUSTOMER_SYNC, keyOf } from './item.ts';
import type { Shop } from './shop.ts';

export interface ComparisonOptions extends Pick<PolledSource, 'pause' | 'intervalMs'> {
  sweepIntervalMs: number;
  crm: CustomerRecords;
  /** Known once the flow is open. */
  shop: () => Shop;
  ledger: Pick<Ledger, 'sendAgain' | 'giveUp'>;
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

/** Customers that are compared together: few, so that others who write get their turn. */
const PAGE = 1_000;

/**
 * Compares the CRM's list with the shop, as a source that brings nothing new: the latest version of a customer
 * whom the CRM has lost is sent again, and a customer whom the shop has deleted is deleted again. What is under
 * way, held or dead is left alone, and so are customers that the shop never knew.
 */
export function createComparison(options: ComparisonOptions): PolledSource {
  const { crm, ledger, now } = options;
  const { pause, intervalMs, sweepIntervalMs } = options;
  let isEmptinessTold = false;

  async function isShopEmpty(log: Log): Promise<boolean> {
    const isEmpty = await options.shop().isNew();
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
    const isOld = position && (await options.shop().isChangedSince(position.askedAt));
    return isOld ? undefined : position?.snapshot;
  }

  async function read(from: unknown, signal: AbortSignal, log: Log): Promise<Reading> {
    if (await isShopEmpty(log)) return { kind: 'unchanged' };
    const known = await agreedOn(from);
    const askedAt = now();
    const reading = await crm.read({ known, signal });
    pause.succeed();
    if (!reading) return { kind: 'unchanged' };
    const book = createBook();
    try {
      for await (const { id, version } of reading.records) book.enter(id, version);
      const compared = await compareShop(book, askedAt, log);
      const removed = await removeAgain(book, askedAt, log);
      const differences = compared.count + removed.count;
      const isSettled = differences === 0 && compared.isSettled && removed.isSettled;
      const position = isSettled ? { askedAt, snapshot: reading.snapshot() } : undefined;
      return { kind: 'compared', position, differences };
    } finally {
      book.close();
    }
  }

  /** Looks for each customer of the shop in the CRM, and sends them again or gives them up. */
  async function compareShop(book: Book, deliveredBefore: number, log: Log): Promise<Compared> {
    let [again, ahead] = [0, 0];
    let isSettled = true;
    const named: string[] = [];
    const list = (after?: number) => options.shop().list(PAGE, after);
    for (let page = await list(); page.length > 0; page = await list(page.at(-1)?.number)) {
      const [lost, overtaken] = [new Map<string, string>(), new Map<string, string>()];
      for (const { id, version } of page.map(({ customer }) => customer)) {
        const held = book.take(id);
        if (held === undefined) lost.set(keyOf(id, version), 'the CRM does not have it');
        else if (held !== null && held < version)
          lost.set(keyOf(id, version), `${staleReason(held)}, which is older`);
        else if (held !== null && held > version)
          overtaken.set(keyOf(id, version), staleReason(held));
      }
      const at = { deliveredBefore, now: now() };
      const sent = await ledger.sendAgain(CUSTOMER_SYNC, lost, at);
      if (sent < lost.size) isSettled &&= !(await options.shop().isAnyOpen([...lost.keys()]));
      again += sent;
      const gaveUp = await ledger.giveUp(CUSTOMER_SYNC, overtaken, at);
      ahead += gaveUp;
      if (gaveUp > 0) named.push(...overtaken.keys());
    }
    if (again > 0) log.warn(`The CRM has lost ${again} customer(s): sending them again.`);
    if (ahead > 0) {
      log.warn(
        `The CRM has later versions than the shop of ${ahead} customer(s) (${nameSome(named, ahead)}): they are dead letters. npm run audit -- --flow ${CUSTOMER_SYNC} --repair sends what the shop has.`,
      );
    }
    return { count: again + ahead, isSettled };
  }

  /** Deletes whom the CRM has and the shop has deleted. */
  async function removeAgain(book: Book, deliveredBefore: number, log: Log): Promise<Compared> {
    let count = 0;
    let isSettled = true;
    for (const rest of chunksOf(book.rest())) {
      for (const id of await options.shop().deletedOf(rest.map((each) => each.id))) {
        const { version } = rest.find((each) => each.id === id) ?? {};
        const done = await options.shop().removeAgain(id, version ?? 0, deliveredBefore);
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

type Book = ReturnType<typeof createBook>;

/** The versions that the CRM has, in a temporary file: a million customers need no memory. */
function createBook() {
  const database: DatabaseSync = openTemporary(
    'create table held (id text primary key, version integer, is_taken integer) without rowid',
  );
  const insert = database.prepare(
    'insert into held (id, version) values (?, ?) on conflict do update set version = max(version, excluded.version)',
  );
  const take = database.prepare('update held set is_taken = 1 where id = ? returning version');
  const rest = database.prepare('select id, version from held where is_taken is null order by id');
  return {
    enter: (id: string, version: number | undefined) => void insert.run(id, version ?? null),
    /** The version of a customer, `null` if the CRM does not say; `undefined` if it does not have it. */
    take(id: string): number | null | undefined {
      return take.get(id)?.version as number | null | undefined;
    },
    /** Those that nobody has taken. */
    *rest(): Generator<{ id: string; version: number | null }> {
      for (const { id, version } of rest.iterate()) {
        yield { id: String(id), version: version as number | null };
      }
    },
    close: () => database.close(),
  };
}
