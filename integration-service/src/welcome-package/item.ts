import type { Item } from '../delivery/delivery.ts';
import type { Message } from '../messaging/rabbitmq-consumer.ts';
import { readEvent } from '../systems/crm/customer-event.ts';
import { canonicalId } from '../systems/customer-id.ts';

/** The flow's name, in the ledger, the routes and the idempotency keys. */
export const WELCOME_PACKAGE = 'welcome-package';

export const PACKAGE_TYPE = 'welcome_package';

/** What to deliver when a customer is seen: one package in its life. */
export function welcomePackageFor(customerId: string, name?: string): Item {
  const key = canonicalId(customerId);
  // The payload has the id as the CRM writes it: the inventory may know only that form.
  const payload = JSON.stringify({ customer_id: customerId, package_type: PACKAGE_TYPE });
  return { key, lane: key, payload, label: name };
}

/** What an event of the CRM means for welcome packages: only a new customer gets one. */
export function readMessage(body: Buffer): Message {
  const event = readEvent(body);
  if (event.kind === 'unusable') return event;
  if (event.kind === 'other') return { kind: 'ignored' };
  const { id, name } = event.customer;
  return { kind: 'items', items: [welcomePackageFor(id, name)] };
}
