import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Customer, customerSchema } from './customer.ts';

/** What has become of a customer. Nothing changes or removes customers yet. */
const EVENT_TYPES = ['CREATE', 'UPDATE', 'DELETE'] as const;

/** An event as subscribers get it, by webhook or by RabbitMQ. */
export const customerEventSchema = z
  .object({
    event_id: z.uuid().meta({
      description: 'Identifier, a version 4 UUID: the same whenever the event is sent again.',
      examples: ['9b2d7c1e-5f4a-4c3b-8d6e-7f8091a2b3c4'],
    }),
    event_type: z.enum(EVENT_TYPES).meta({
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

export type EventType = (typeof EVENT_TYPES)[number];

/** An event that is to be sent. */
export interface CustomerEvent {
  id: string;
  type: EventType;
  /** The events of one customer are sent in their order. */
  customerId: string;
  /** What is sent, by `customerEventSchema`. */
  json: string;
}

/** @param customerJson the customer as JSON text, which is not made twice */
export function customerCreated(customer: Customer, customerJson: string): CustomerEvent {
  const id = randomUUID();
  const type = 'CREATE';
  const head = `"event_id":"${id}","event_type":"${type}","occurred_at":"${customer.created_at}"`;
  return { id, type, customerId: customer.id, json: `{${head},"customer":${customerJson}}` };
}
