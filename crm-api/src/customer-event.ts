import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Customer, customerSchema } from './customer.ts';

/** An event as subscribers receive it, by webhook or through RabbitMQ. */
export const customerEventSchema = z
  .object({
    event_id: z.uuid().meta({
      description: 'Identifier, a version 4 UUID: the same whenever the event is sent again.',
      examples: ['9b2d7c1e-5f4a-4c3b-8d6e-7f8091a2b3c4'],
    }),
    // No code changes or removes customers yet.
    event_type: z.enum(['CREATE', 'UPDATE', 'DELETE']).meta({
      description: 'What has become of the customer. `UPDATE` and `DELETE` are for later.',
      examples: ['CREATE'],
    }),
    occurred_at: z.iso.datetime().meta({
      description: 'When that was, UTC.',
      examples: ['2026-01-01T12:00:00.000Z'],
    }),
    customer: customerSchema,
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

/** @param customerJson the customer as JSON text, passed in so that it is not serialized twice */
export function customerCreated(customer: Customer, customerJson: string): CustomerEvent {
  const id = randomUUID();
  const type = 'CREATE';
  const head = `"event_id":"${id}","event_type":"${type}","occurred_at":"${customer.created_at}"`;
  return { id, type, customerId: customer.id, json: `{${head},"customer":${customerJson}}` };
}
