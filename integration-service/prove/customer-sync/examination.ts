import type { Delivery } from '../delivery.ts';
import type { Tools } from '../proof.ts';
import type { Crm } from './crm.ts';
import type { Entry, Shop } from './shop.ts';
import { type CrmCustomer, differences } from './shop-customer.ts';

/** What a look at both ends found. */
export interface Examination {
  /** Customers whom the CRM has otherwise than the shop, and nobody is told. What is wrong, by id. */
  wrong: ReadonlyMap<string, string>;
  problems: string[];
}

/** Superseded deliveries that neither name a later one of their lane nor are of a record that is gone. */
const WITHOUT_RECEIPT = `
  select flow, key from deliveries
  where status = 'superseded'
    and not exists (
      select 1 from deliveries as successor
      where successor.sequence = deliveries.superseded_by
        and successor.lane = deliveries.lane and successor.sequence > deliveries.sequence)
    and not exists (
      select 1 from events
      where events.delivery = deliveries.sequence and events.what = 'superseded'
        and deliveries.lane in (select lane from ended_lanes))`;

/** The version that a dead letter says the CRM has; `undefined` if the last delivery of a customer is none. */
export function toldVersion(deliveries: readonly Delivery[]): number | undefined {
  const last = deliveries.at(-1);
  const told = last?.status === 'dead' && /^the CRM has version (\d+)$/.exec(last.last_error ?? '');
  return told ? Number(told[1]) : undefined;
}

/**
 * Compares the shop with the CRM, field by field, and looks for the receipts of what was superseded. Of a customer
 * whom the CRM has further than the shop, a dead letter must say so, and only a backup can be the cause.
 */
export async function examine(
  { shop, crm, isForgotten }: { shop: Shop; crm: Crm; isForgotten: (id: string) => boolean },
  deliveries: ReadonlyMap<string, readonly Delivery[]>,
  { ledger }: Pick<Tools, 'ledger'>,
): Promise<Examination> {
  const listed = await crm.list();
  const held = new Map(listed.map((customer) => [customer.id, customer]));
  const wrong = new Map<string, string>();
  const problems: string[] = [];
  for (const entry of shop.entries.values()) {
    if (isForgotten(entry.id)) continue;
    const flaw = flawOf(entry, held.get(entry.id));
    const told = toldVersion(deliveries.get(entry.id) ?? []);
    const isTold = told !== undefined && told === crm.versionOf(entry.id);
    if (flaw && !isTold) wrong.set(entry.id, flaw);
  }
  const strangers = listed.filter(({ id }) => !shop.entries.has(id));
  if (strangers.length > 0)
    problems.push(`the CRM has ${strangers.length} that were never created`);
  if (held.size < listed.length) problems.push('the CRM lists a customer twice');
  const unreceipted = await ledger.query(WITHOUT_RECEIPT);
  for (const { flow, key } of unreceipted.slice(0, 5)) {
    problems.push(`${flow}/${key} is superseded and does not say by what`);
  }
  return { wrong, problems };
}

function flawOf(
  { id, customer, isGone }: Entry,
  held: CrmCustomer | undefined,
): string | undefined {
  if (isGone) return held && `the CRM has the deleted customer ${id} at version ${held.version}`;
  if (!held) return `the CRM does not have the customer ${id}`;
  const found = differences(customer, held);
  return found.length > 0 ? `of ${id} at the CRM, ${found.join(', ')}` : undefined;
}
