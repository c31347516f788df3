import { JsonError, parseForeignJson } from 'service-kit/foreign-json';
import { z } from 'zod';
import { MAX_ID_BYTES } from './customer-id.ts';
import type { Customer } from './customer-list.ts';
import { parseRecord } from './customer-list.ts';

/** What an event says, whichever way it came. */
export type CustomerEvent =
  | { kind: 'created'; customer: Customer }
  /** A customer was changed or removed: nothing that a welcome package depends on. */
  | { kind: 'other' };

/** What was received is no event; the message says why, for whoever sent it. */
export class EventError extends Error {
  override readonly name = 'EventError';
  readonly code = 'EVENT_INVALID';
}

/** As much as this service needs; a CRM may say more. */
const eventSchema = z.object({
  event_type: z.enum(['CREATE', 'UPDATE', 'DELETE'], {
    error: 'its event_type is none of CREATE, UPDATE and DELETE',
  }),
  customer: z.unknown().optional(),
});

const typeMeta = { description: 'What has become of the customer.' };

/** What `parseEvent` takes, for the documentation: of its customer, an event needs as much as is done with it. */
export const documentedEventSchema = z
  .discriminatedUnion('event_type', [
    z.object({
      event_type: z.literal('CREATE').meta({ ...typeMeta, examples: ['CREATE'] }),
      customer: z
        .looseObject({
          id: z
            .string()
            .min(1)
            .max(MAX_ID_BYTES)
            .meta({
              description: `At most ${MAX_ID_BYTES} bytes of UTF-8, without NUL.`,
              pattern: '^[^\\u0000]*$',
            }),
          name: z.unknown().optional().meta({ description: 'What is no string is no name.' }),
        })
        .meta({
          description: 'As the list of customers shows it.',
          examples: [{ id: '123e4567-e89b-42d3-a456-426614174000', name: 'Jane Doe' }],
        }),
    }),
    z.object({
      event_type: z.enum(['UPDATE', 'DELETE']).meta(typeMeta),
      customer: z.unknown().optional().meta({ description: 'Not looked at.' }),
    }),
  ])
  .meta({
    id: 'CustomerEvent',
    description: 'Something that happened to a customer.',
    examples: [
      {
        event_type: 'CREATE',
        customer: { id: '123e4567-e89b-42d3-a456-426614174000', name: 'Jane Doe' },
      },
    ],
  });

/**
 * Parses an event of the CRM.
 *
 * @throws {EventError}
 */
export function parseEvent(value: unknown): CustomerEvent {
  const { data, error } = eventSchema.safeParse(value);
  if (!data) {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    throw new EventError(isObject ? (error.issues[0]?.message ?? '') : 'it is no object');
  }
  if (data.event_type !== 'CREATE') return { kind: 'other' };
  const customer = parseRecord(data.customer);
  if (typeof customer === 'string')
    throw new EventError(`its customer cannot be used: ${customer}`);
  return { kind: 'created', customer };
}

/**
 * Parses an event from the bytes, or the text, that it came as.
 *
 * @throws {EventError} also when that is not JSON in UTF-8
 */
export function readEvent(json: Buffer | string): CustomerEvent {
  try {
    return parseEvent(parseForeignJson(json));
  } catch (error) {
    throw error instanceof JsonError ? new EventError(error.message) : error;
  }
}
