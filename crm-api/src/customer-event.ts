import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type CrmCustomer, crmCustomerSchema } from './crm-customer.ts';

const deletedCustomerSchema = crmCustomerSchema
  .pick({ id: true, version: true })
  .meta({ description: 'Who was deleted, and at which version.' });

/** An event as subscribers receive it, by webhook or through RabbitMQ. */
export const customerEventSchema = z
  .object({
    event_id: z.uuid().meta({
      description: 'Identifier, a version 4 UUID: the same whenever the event is sent again.',
      examples: ['9b2d7c1e-5f4a-4c3b-8d6e-7f8091a2b3c4'],
    }),
    event_type: z.enum(['CREATE', 'UPDATE', 'DELETE']).meta({
      description: 'What has become of the customer.',
      examples: ['CREATE'],
    }),
    occurred_at: z.iso.datetime().meta({
      description: 'When that was, UTC.',
      examples: ['2026-01-01T12:00:00.000Z'],
    }),
    customer: z.union([crmCustomerSchema, deletedCustomerSchema]).meta({
      description: 'The customer as it is now; only id and version if it was deleted.',
    }),
  })
  .meta({ id: 'CustomerEvent', description: 'Something that happened to a customer.' });

/** An event to be sent. */
export interface CustomerEvent {
  id: string;
  type: z.output<typeof customerEventSchema>['event_type'];
  /** The events of one customer are sent in order. */
  customerId: string;
  /** The message body, in the shape of `customerEventSchema`. */
  json: string;
}

/** Somebody is new, or different. `at`: when that was, UTC. */
export function customerWritten(
  type: 'CREATE' | 'UPDATE',
  customer: CrmCustomer,
  at = new Date().toISOString(),
): CustomerEvent {
  return eventOf(type, customer, at);
}

export function customerDeleted(id: string, version: number): CustomerEvent {
  return eventOf('DELETE', { id, version }, new Date().toISOString());
}

function eventOf(
  type: CustomerEvent['type'],
  customer: z.input<typeof customerEventSchema>['customer'],
  at: string,
): CustomerEvent {
  const id = randomUUID();
  const event = { event_id: id, event_type: type, occurred_at: at, customer };
  return { id, type, customerId: customer.id, json: JSON.stringify(event) };
}
