import { z } from 'zod';
import type { Drift } from '../delivery/audit/kinds.ts';
import type { Audited } from '../delivery/flow.ts';
import { versionInReason } from '../systems/crm/customer-records.ts';
import { lockCustomer, updateCustomer } from './customer-table.ts';
import { deletionItem, versionItem, versionOf } from './item.ts';
import { type LastDelivery, lastDelivery, lockDeletion } from './shop-deliveries.ts';

/** Far below the numbers of which some are the same. */
const MAX_VERSION = 2 ** 52;

const heldSchema = z.looseObject({ version: z.int() });

/**
 * Makes a new version of what the shop has, or a new delete of whom it has deleted, above every version that the
 * CRM is known to have: its list tells, or, of a customer whom it has deleted, the reason of the dead letter. If
 * the CRM refuses that version too, it is a dead letter with the version in its reason, and the next repair has it.
 *
 * @param now Unix time in milliseconds
 */
export function createRepair(now: () => number): NonNullable<Audited['repair']> {
  return async (transaction, drift) => {
    const { lane: id } = drift;
    const customer = await lockCustomer(transaction, id);
    if (!customer) await lockDeletion(transaction, id);
    const last = await lastDelivery(transaction, id);
    // Whoever has changed it since the audit has sent it, too.
    if (last?.key !== drift.key || last?.status !== drift.status) return [];
    const version = versionAbove(drift, last, customer?.version ?? 0);
    // Later changes need versions above this one.
    if (version > MAX_VERSION) return [];
    if (customer) {
      return [versionItem(await updateCustomer(transaction, { ...customer, version }, now()))];
    }
    return last?.operation === 'delete' ? [deletionItem(id, version)] : [];
  };
}

/** A version above all that are known of a customer. */
function versionAbove({ content }: Drift, last: LastDelivery | undefined, ours: number): number {
  const held = heldSchema.safeParse(content).data?.version ?? 0;
  const sent = last ? versionOf(last.key) : 0;
  const refused = versionInReason(last?.lastError ?? '') ?? 0;
  return Math.max(ours, held, sent, refused) + 1;
}
