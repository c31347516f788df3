import type { Message } from '../messaging/rabbitmq-consumer.ts';
import { EventError, readEvent } from '../systems/crm/customer-event.ts';
import { welcomePackageFor } from './item.ts';

/** What an event of the CRM means for welcome packages: only a new customer gets one. */
export function readMessage(body: Buffer): Message {
  try {
    const event = readEvent(body);
    if (event.kind === 'other') return { kind: 'ignored' };
    const { id, name } = event.customer;
    return { kind: 'items', items: [welcomePackageFor(id, name)] };
  } catch (error) {
    if (error instanceof EventError) return { kind: 'unusable', reason: error.message };
    throw error;
  }
}
