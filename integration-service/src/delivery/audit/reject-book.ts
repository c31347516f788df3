import type { KnownReject, Ledger, RejectedRecord, SourceId } from '../ledger/ledger.ts';
import { openTemporary } from './audit-book.ts';
import { allOf } from './pages.ts';

/** A rejected record that a source shows now, or has shown. */
export interface ReviewedReject extends KnownReject {
  isListed: boolean;
}

export interface RejectBookOptions {
  of: SourceId;
  ledger: Pick<Ledger, 'rejectedRecords' | 'acceptRejected'>;
  /** Unix time in milliseconds. */
  now: () => number;
}

/**
 * The unusable records of a source: those that it shows now, and those that the ledger knows. They are in a
 * temporary file, because a list of nothing but unusable records must not fill the memory. Records with the
 * same fingerprint are one entry.
 */
export interface RejectBook {
  /** Adds a record that the source shows. Adding it again changes nothing. */
  enter(record: RejectedRecord): void;
  /** Adds the records that the ledger knows. Call it after the last `enter`. */
  enterLedger(): Promise<void>;
  counts(): { all: number; unaccepted: number };
  /** All records; those that the source shows now come first. */
  rows(): IteratorObject<ReviewedReject>;
  /** Accepts all records of this book, and none that the ledger may have got meanwhile. */
  accept(): Promise<void>;
  close(): void;
}

export function createRejectBook({ of, ledger, now }: RejectBookOptions): RejectBook {
  const database = openTemporary(`
    create table rejects (
      fingerprint text primary key,
      position integer,
      id text,
      reason text not null,
      is_listed integer not null,
      is_accepted integer not null default 0
    ) without rowid`);
  const insert = `insert into rejects (fingerprint, position, id, reason, is_listed, is_accepted)
    values (?, ?, ?, ?, ?, ?) on conflict do`;
  const enterListed = database.prepare(`${insert} nothing`);
  // The position in the current list counts, not an earlier one.
  const enterKnown = database.prepare(`${insert} update set is_accepted = excluded.is_accepted`);
  const select = database.prepare('select * from rejects order by is_listed desc, position, id');

  function* rows(): Generator<ReviewedReject> {
    for (const row of select.iterate()) {
      const { fingerprint, position, id, reason } = row as unknown as RejectedRecord;
      const [isListed, isAccepted] = [row.is_listed === 1, row.is_accepted === 1];
      yield { fingerprint, position, id, reason, isListed, isAccepted };
    }
  }

  return {
    enter({ fingerprint, position, id, reason }) {
      enterListed.run(fingerprint, position, id, reason, 1, 0);
    },

    async enterLedger() {
      const known = allOf<KnownReject>((limit, last) =>
        ledger.rejectedRecords(of, limit, last?.fingerprint),
      );
      for await (const { fingerprint, position, id, reason, isAccepted } of known) {
        enterKnown.run(fingerprint, position, id, reason, 0, Number(isAccepted));
      }
    },

    counts() {
      const row = database
        .prepare('select count(*) as n, count(*) filter (where not is_accepted) as u from rejects')
        .get();
      return { all: Number(row?.n), unaccepted: Number(row?.u) };
    },

    rows,

    async accept() {
      const notAccepted = rows().filter(({ isAccepted }) => !isAccepted);
      await ledger.acceptRejected(of, notAccepted, now());
      database.exec('update rejects set is_accepted = 1');
    },

    close: () => database.close(),
  };
}
