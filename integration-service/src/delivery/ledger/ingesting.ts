import { type Kysely, sql } from 'kysely';
import { shorten } from '../../shorten.ts';
import { chunksOf } from '../chunks.ts';
import { type Item, nameFlaw } from '../delivery.ts';
import { insertEvents, storable } from './history.ts';
import type { IngestOptions, IngestRules, Ledger } from './ledger.ts';
import { isSqlite, rowsOf, textsOf } from './rows.ts';
import { endLanes, lockLanes, RECORD_GONE, supersedeOlder, tellSuperseded } from './superseding.ts';
import type { LedgerTransaction } from './tables.ts';

/** A delivery that was inserted. */
interface Inserted {
  sequence: number;
  item: Item;
  status: string;
}

/** The part of the ledger that takes in what sources show. */
export function createIngesting(db: Kysely<unknown>) {
  async function findNew(
    on: Kysely<unknown>,
    flow: string,
    keys: readonly string[],
  ): Promise<string[]> {
    if (keys.length === 0) return [];
    const { rows } = await sql<{ key: string }>`
      select key from deliveries
      where flow = ${flow} and key in ${textsOf(on, keys)}`.execute(on);
    const known = new Set(rows.map(({ key }) => key));
    return [...new Set(keys)].filter((key) => !known.has(key));
  }

  /** Inserts the items of a chunk whose keys are new. */
  async function insert(
    transaction: LedgerTransaction,
    flow: IngestRules,
    chunk: Item[],
    { now, isHeld = false }: IngestOptions,
    gone: ReadonlySet<string>,
  ): Promise<Inserted[]> {
    // Most of a list is known, and a row is not even tried to be inserted then.
    const byKey = new Map(chunk.map((each) => [each.key, each]));
    const keys = flow.hasOwnKeys
      ? [...byKey.keys()]
      : await findNew(transaction, flow.name, [...byKey.keys()]);
    if (keys.length === 0) return [];
    const values = keys.map((key) => {
      const item = byKey.get(key) as Item;
      const { lane, payload, operation, label } = item;
      // What ends a lane is not held: nobody may be sent anything of a record that is gone.
      const isKept = isHeld && !item.endsLane;
      return [
        ...[key, lane, payload, operation ?? null],
        storable((flow.keepsLabels && label) || null),
        gone.has(key) ? 'superseded' : isKept ? 'held' : 'pending',
      ];
    });
    // A conflict arises when another replica, or an event during the poll, was quicker.
    const { rows } = await sql<{ sequence: number; key: string; status: string }>`
      insert into deliveries (flow, key, lane, operation, label, payload, status, next_attempt_at,
        created_at, updated_at)
      select cast(${flow.name} as text), item.key, item.lane, item.operation,
        case when item.status = 'superseded' then null else item.label end,
        case when item.status = 'superseded' then null else item.payload end,
        item.status, case when item.status = 'pending' then cast(${now} as bigint) end,
        cast(${now} as bigint), cast(${now} as bigint)
      from (select value->>0 as key, value->>1 as lane, value->>2 as payload,
          value->>3 as operation, value->>4 as label,
          case when coalesce(value->>3, '') != 'delete' and exists (
            select 1 from ended_lanes where ended_lanes.lane = value->>1)
            then 'superseded' else value->>5 end as status
        from ${rowsOf(transaction, values)}) as item
      where true
      on conflict (flow, key) do nothing returning sequence, key, status`.execute(transaction);
    if (flow.hasOwnKeys && rows.length < chunk.length)
      throw new Error(collisionOf(flow, chunk, rows));
    return rows.map(({ key, ...row }) => ({ ...row, item: byKey.get(key) as Item }));
  }

  return {
    async ingest(flow, produce, options) {
      const { now } = options;
      return db.transaction().execute(async (transaction) => {
        const items = await produce(transaction);
        // What is no array can be looked at only once.
        const endsLanes = !Array.isArray(items) || items.some(({ endsLane }) => endsLane);
        await lockLanes(transaction, endsLanes);
        await lockInserts(transaction, flow);
        const ingested = { new: 0, known: 0, held: 0, superseded: 0, items: [] as Item[] };
        for (const chunk of chunksOf(items)) {
          for (const each of chunk) check(each);
          const inserted = await insert(transaction, flow, chunk, options, goneIn(chunk));
          const gone = inserted.filter(({ status }) => status === 'superseded');
          const live = inserted
            .filter(({ status }) => status !== 'superseded')
            .map(({ item, ...row }) => ({ ...row, item, lane: item.lane }));
          const fresh = live.filter(({ status }) => status === 'pending');
          ingested.known += chunk.length - inserted.length;
          ingested.superseded += gone.length;
          ingested.new += fresh.length;
          ingested.held += live.length - fresh.length;
          for (const { item } of fresh) ingested.items.push(item);
          await tellSuperseded(transaction, gone, now, RECORD_GONE);
          if (flow.supersedes) await supersedeOlder(transaction, flow.name, live, now);
          const endings = live.filter(({ item }) => item.endsLane);
          await endLanes(transaction, endings, now);
        }
        return ingested;
      });
    },

    findNew: (flow, keys) => findNew(db, flow, keys),

    async adopt(flow, held, now) {
      // One statement must not insert the same row twice.
      const byKey = new Map(held.map((each) => [each.key, each]));
      for (const chunk of chunksOf(byKey.values())) {
        for (const each of chunk) check(each);
        await db.transaction().execute(async (transaction) => {
          await lockInserts(transaction, { name: flow, hasOwnKeys: false });
          const values = chunk.map(({ key, lane, payload, targetId }) => [
            ...[key, lane, payload, targetId],
          ]);
          const { rows } = await sql<{ sequence: number; key: string }>`
            insert into deliveries
              (flow, key, lane, payload, target_id, status, created_at, updated_at)
            select cast(${flow} as text), value->>0, value->>1,
              case when exists (select 1 from ended_lanes where ended_lanes.lane = value->>1)
                then null else value->>2 end,
              value->>3, 'delivered',
              cast(${now} as bigint), cast(${now} as bigint)
            from ${rowsOf(transaction, values)} where true
            on conflict (flow, key) do update set status = 'delivered', next_attempt_at = null,
              target_id = excluded.target_id, lease_expires_at = null,
              fencing_token = deliveries.fencing_token + 1, updated_at = excluded.updated_at
              where deliveries.status != 'delivered'
            returning sequence, key`.execute(transaction);
          const events = rows.map(({ sequence, key }) => ({
            delivery: sequence,
            what: 'adopted',
            reason: byKey.get(key)?.targetId,
          }));
          await insertEvents(transaction, now, events);
        });
      }
    },
  } satisfies Partial<Ledger>;
}

/** The keys of items that come after the end of their lane, in the same list, and are no deletes. */
function goneIn(items: readonly Item[]): Set<string> {
  const ended = new Set<string>();
  const gone = new Set<string>();
  for (const { key, lane, operation, endsLane } of items) {
    if (ended.has(lane) && operation !== 'delete') gone.add(key);
    if (endsLane) ended.add(lane);
  }
  return gone;
}

/** Refuses what the contract of items excludes. What ends a lane must be told from what the lane was about. */
function check({ key, lane, operation, endsLane }: Item): void {
  const flaw = nameFlaw(key) ?? nameFlaw(lane);
  if (flaw) throw new Error(`A key or lane ${flaw}: ${shorten(JSON.stringify([key, lane]), 200)}`);
  if (!endsLane || (operation === 'delete' && key !== lane)) return;
  throw new Error(`${key} cannot end its lane: only a delete can, whose key is not the lane.`);
}

/** Nothing is written then: what belongs to the delivery would be, and the delivery not. */
function collisionOf(
  { name }: IngestRules,
  chunk: Item[],
  rows: readonly { key: string }[],
): string {
  const inserted = new Set(rows.map(({ key }) => key));
  const twice = chunk.find(({ key }) => !inserted.delete(key));
  return `${name} ingested ${twice?.key} a second time, though its keys are its own.`;
}

/** An arbitrary number that nothing else locks in the same database. */
const INSERT_LOCK = 2_026_112_001;

/**
 * Only one transaction at a time inserts deliveries of a flow whose keys may collide. On PostgreSQL, two
 * transactions that insert the same deliveries in different orders would deadlock, and PostgreSQL would abort
 * one of them after a second.
 */
async function lockInserts(
  transaction: LedgerTransaction,
  { name, hasOwnKeys }: Pick<IngestRules, 'name' | 'hasOwnKeys'>,
): Promise<void> {
  if (isSqlite(transaction) || hasOwnKeys) return;
  await sql`select pg_advisory_xact_lock(${INSERT_LOCK}, hashtext(${name}))`.execute(transaction);
}
