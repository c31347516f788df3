import { DatabaseSync } from 'node:sqlite';
import type { Item, Status } from '../delivery.ts';
import type { Audited } from '../flow.ts';
import type { DeliveryStatus } from '../ledger/ledger.ts';
import type { Holding } from '../target.ts';
import { conditionsFor, IN_DOUBT } from './conditions.ts';
import { AUDIT_KINDS, type AuditKind, type Difference, type Drift } from './kinds.ts';

/**
 * A database with this table. Its empty name makes it a private file, which SQLite deletes with the connection
 * and uses only for what exceeds its cache.
 */
export function openTemporary(table: string): DatabaseSync {
  const database = new DatabaseSync('');
  database.exec(`pragma journal_mode = off; pragma synchronous = off; ${table}; begin`);
  return database;
}

/** What an audit says about a record or a delivery. */
export interface AuditEntry {
  /** The lane where the flow supersedes, else the key. */
  id: string;
  /** Empty unless both sides have it. */
  differences: Difference[];
}

/** What source, ledger and target say, side by side in a temporary file. */
export interface AuditBook {
  enterSource(item: Pick<Item, 'key' | 'lane' | 'payload'>): void;
  /** Marks what the source shows, if it is in the book already. */
  enterSourceOfKnown(item: Pick<Item, 'key'>): void;
  /** Of a lane, the latest that is not superseded counts: enter them in their order. */
  enterLedger(delivery: DeliveryStatus): void;
  /** Marks what is gone in every flow. */
  enterEnded(id: string): void;
  /** Enter what the source shows first: it is compared with that. */
  enterTarget(holding: Pick<Holding, 'identity' | 'content'>): void;
  /** Adds what the source shows at a second look, for what is in doubt. */
  enterSourceAgain(item: Pick<Item, 'lane' | 'payload'>): void;
  /** Adds what the ledger has at a second look, for what is in doubt. */
  enterLedgerAgain(delivery: DeliveryStatus): void;
  /** Ends the second look: what differs from the first is on its way, and in doubt no more. */
  endSecondLook(): void;
  /** Whether the source shows something that neither the ledger nor the target knows. */
  hasUnknown(): boolean;
  hasOrphans(): boolean;
  /** Whether something may be drift, or have changed while it was read. */
  hasDoubt(): boolean;
  counts(): Record<AuditKind, number>;
  /**
   * How many the ledger knows, and how many of them the source shows; how many it calls delivered, and how many
   * of them the target lists.
   */
  totals(): Record<'known' | 'shown' | 'delivered' | 'listed', number>;
  /** The entries of one kind, in order. */
  entriesOf(kind: AuditKind): IteratorObject<AuditEntry>;
  /** Up to `limit` of those in doubt, behind the one with the id `after`, and their lanes. */
  doubtful(limit: number, after: string): { id: string; lane: string }[];
  /** Up to `limit` of the records of these kinds, in order, behind the one with the lane `after`. */
  drift(kinds: readonly AuditKind[], limit: number, after: string): Drift[];
  /** Whether a key is missing, and if so, whether the ledger calls it delivered. */
  missing(key: string): 'notIngested' | 'delivered' | undefined;
  close(): void;
}

/** @param ofLanes whether lanes are compared, or keys */
export function createAuditBook(
  ofLanes: boolean,
  { differences, repair }: Pick<Audited, 'differences' | 'repair'>,
): AuditBook {
  const conditions = conditionsFor(ofLanes);
  const database = openTemporary(`
    create table entries (
      id text primary key,
      lane text,
      in_source integer not null default 0,
      expected text,
      expected_again text,
      delivery_key text,
      status text,
      stamp text,
      stamp_again text,
      holdings integer not null default 0,
      content text,
      differences text,
      is_ended integer not null default 0,
      has_changed integer not null default 0
    ) without rowid`);
  const upsert = (columns: string, values: string, update: string) =>
    database.prepare(
      `insert into entries (id, ${columns}) values (?, ${values}) on conflict do update set ${update}`,
    );
  const update = (what: string) => database.prepare(`update entries set ${what} where id = ?`);
  const latest = `where excluded.status != 'superseded' or entries.status is null`;
  const statements = {
    source: upsert('in_source, expected', '1, ?', 'in_source = 1, expected = excluded.expected'),
    sourceOfKnown: update('in_source = 1'),
    sourceAgain: database.prepare(
      `update entries set expected_again = ? where id = ? and ${IN_DOUBT}`,
    ),
    ledger: upsert(
      'lane, delivery_key, status, stamp',
      '?, ?, ?, ?',
      `lane = excluded.lane, delivery_key = excluded.delivery_key, status = excluded.status,
        stamp = excluded.stamp ${latest}`,
    ),
    ledgerAgain: database.prepare(
      `update entries set stamp_again = ? where id = ? and ${IN_DOUBT} and (? or stamp_again is null)`,
    ),
    ended: update('is_ended = 1'),
    target: upsert(
      'holdings, content, differences',
      '1, ?, ?',
      'holdings = holdings + 1, content = excluded.content, differences = excluded.differences',
    ),
    expected: database.prepare('select expected from entries where id = ?'),
  };
  const missing = database.prepare(
    `select status from entries where id = ? and ${conditions.missing}`,
  );
  const isExpected = ofLanes ? "status = 'delivered' and in_source" : "status = 'delivered'";
  const totals = database.prepare(`select
    count(status) as known,
    count(status) filter (where in_source) as shown,
    count(*) filter (where ${isExpected}) as delivered,
    count(*) filter (where ${isExpected} and holdings > 0) as listed
    from entries`);
  const exists = (condition: string) => {
    const statement = database.prepare(`select 1 from entries where ${condition} limit 1`);
    return () => statement.get() !== undefined;
  };
  const idOf = ({ key, lane }: Pick<Item, 'key' | 'lane'>) => (ofLanes ? lane : key);

  /** How a holding differs from what the source shows, as JSON; `null` if it does not. */
  function compare({ identity, content }: Pick<Holding, 'identity' | 'content'>): string | null {
    const expected = differences && statements.expected.get(identity)?.expected;
    if (!differences || typeof expected !== 'string') return null;
    const found = differences(JSON.parse(expected), content);
    return found.length > 0 ? JSON.stringify(found) : null;
  }

  return {
    enterSource(item) {
      statements.source.run(idOf(item), ofLanes || differences ? item.payload : null);
    },
    enterSourceOfKnown: ({ key }) => void statements.sourceOfKnown.run(key),
    enterSourceAgain: ({ lane, payload }) => void statements.sourceAgain.run(payload, lane),
    enterLedger(delivery) {
      const { key, lane, status } = delivery;
      const otherLane = lane === key ? null : lane;
      const [deliveryKey, stamp] = ofLanes ? [key, stampOf(delivery)] : [null, null];
      statements.ledger.run(idOf(delivery), otherLane, deliveryKey, status, stamp);
    },
    enterLedgerAgain(delivery) {
      const isLatest = Number(delivery.status !== 'superseded');
      statements.ledgerAgain.run(stampOf(delivery), delivery.lane, isLatest);
    },
    enterEnded: (id) => void statements.ended.run(id),
    enterTarget(holding) {
      const content = repair ? JSON.stringify(holding.content ?? null) : null;
      statements.target.run(holding.identity, content, compare(holding));
    },
    endSecondLook() {
      database.exec(`update entries set has_changed = 1
        where ${IN_DOUBT} and (expected is not expected_again or stamp is not stamp_again)`);
    },

    hasUnknown: exists('in_source and status is null and holdings = 0'),
    hasOrphans: exists(conditions.orphaned),
    hasDoubt: exists(IN_DOUBT),

    counts() {
      const columns = AUDIT_KINDS.map(
        (kind) => `count(*) filter (where ${conditions[kind]}) as ${kind}`,
      );
      const row = database.prepare(`select ${columns.join(', ')} from entries`).get();
      return { ...row } as Record<AuditKind, number>;
    },

    totals: () => ({ ...totals.get() }) as ReturnType<AuditBook['totals']>,

    entriesOf(kind) {
      const statement = database.prepare(
        `select id, differences from entries where ${conditions[kind]} order by id`,
      );
      return statement.iterate().map(({ id, differences: found }) => {
        return { id: String(id), differences: found === null ? [] : JSON.parse(String(found)) };
      });
    },

    doubtful(limit, after) {
      const rows = database
        .prepare(`select id, coalesce(lane, id) as lane from entries
          where ${IN_DOUBT} and id > ? order by id limit ?`)
        .all(after, limit);
      return rows as { id: string; lane: string }[];
    },

    drift(kinds, limit, after) {
      const isDrift = kinds.map((kind) => `(${conditions[kind]})`).join(' or ');
      const rows = database
        .prepare(`select id, delivery_key, status, content from entries
          where (${isDrift}) and id > ? order by id limit ?`)
        .all(after, limit);
      return rows.map(({ id, delivery_key: key, status, content }) => ({
        lane: String(id),
        key: (key ?? undefined) as string | undefined,
        status: (status ?? undefined) as Status | undefined,
        content: content === null ? undefined : JSON.parse(String(content)),
      }));
    },

    missing(key) {
      const row = missing.get(key);
      return row && (row.status === null ? 'notIngested' : 'delivered');
    },

    close: () => database.close(),
  };
}

/** Stays the same while nothing is sent of the delivery. */
function stampOf({ sequence, status, fencing_token }: DeliveryStatus): string {
  return `${sequence} ${status} ${fencing_token}`;
}
