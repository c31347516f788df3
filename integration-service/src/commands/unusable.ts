import { print } from 'service-kit/terminal';
import type { createRejectBook } from '../delivery/audit/reject-book.ts';
import { describeUnusable } from '../delivery/ingest/unusable-records.ts';

type RejectBook = ReturnType<typeof createRejectBook>;

/** The records of the CRM that cannot be used, as `npm run audit -- --json` prints them. */
export function toJson(book: RejectBook) {
  return [...book.rows()].map(({ position, id, reason, isListed, isAccepted }) => {
    return { position, id, reason, listed: isListed, accepted: isAccepted };
  });
}

/** Prints the first `most` of these records, those that the CRM lists now first, and says what to do. */
export function printUnusable(book: RejectBook, most: number): void {
  const { all, unaccepted } = book.counts();
  print(`unusable  ${String(all).padStart(8)}  records of the CRM that are no customers`);
  let named = 0;
  for (const reject of book.rows()) {
    if (named === most) break;
    const notes = [!reject.isListed && 'not listed now', reject.isAccepted && 'accepted'];
    const note = notes.filter(Boolean).join(', ');
    print(`  ${describeUnusable(reject)}${note && ` (${note})`}`);
    named += 1;
  }
  if (all > named) print(`  … and ${all - named} more; --all names them`);
  if (unaccepted === 0) return;
  print(`Nobody has accepted ${unaccepted} of them: correct them in the CRM, or run`);
  print('npm run audit -- --accept, which accepts all that are there now.');
}
