import type { Message } from '../messaging/rabbitmq-consumer.ts';
import { readEvent } from '../systems/crm/customer-event.ts';
import { welcomePackageFor } from './item.ts';

/** What an event of the CRM means for welcome packages: only a new customer gets one. */
export function readMessage(body: Buffer): Message {
  const event = readEvent(body);
  if (event.kind === 'unusable') return event;
  if (event.kind === 'other') return { kind: 'ignored' };
  const { id, name } = event.customer;
  return { kind: 'items', items: [welcomePackageFor(id, name)] };
}
