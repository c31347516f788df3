import { JsonError, parseForeignJson } from 'service-kit/foreign-json';
import { z } from 'zod';
import { MAX_NAME_BYTES } from '../../delivery/delivery.ts';
import type { Customer } from './customer-list.ts';
import { parseRecord } from './customer-list.ts';

/** The meaning of an event, independent of how it arrived. */
export type CustomerEvent =
  | { kind: 'created'; customer: Customer }
  /** A customer was changed or removed; a welcome package does not depend on that. */
  | { kind: 'other' }
  /** The received data is no event; the reason is for its sender. */
  | { kind: 'unusable'; reason: string };

/** The fields that this service needs; a CRM may send more. */
const eventSchema = z.object({
  event_type: z.enum(['CREATE', 'UPDATE', 'DELETE'], {
    error: 'its event_type is none of CREATE, UPDATE and DELETE',
  }),
  customer: z.unknown().optional(),
});

const example = { id: '123e4567-e89b-42d3-a456-426614174000', name: 'Jane Doe' };
const typeMeta = { description: 'What has become of the customer.' };

/** What `parseEvent` accepts, for the documentation: only a `CREATE` needs a customer, and only its id. */
export const documentedEventSchema = z
  .discriminatedUnion('event_type', [
    z.object({
      event_type: z.literal('CREATE').meta({ ...typeMeta, examples: ['CREATE'] }),
      customer: z
        .looseObject({
          id: z
            .string()
            .min(1)
            .max(MAX_NAME_BYTES)
            .meta({
              description: `At most ${MAX_NAME_BYTES} bytes of UTF-8, without NUL.`,
              pattern: '^[^\\u0000]*$',
            }),
          name: z
            .unknown()
            .optional()
            .meta({ description: 'Anything but a string counts as no name.' }),
        })
        .meta({
          description: 'As the list of customers shows it.',
          examples: [example],
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
    examples: [{ event_type: 'CREATE', customer: example }],
  });

/** Parses an event of the CRM. */
export function parseEvent(value: unknown): CustomerEvent {
  const { data, error } = eventSchema.safeParse(value);
  if (!data) {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return unusable(isObject ? (error.issues[0]?.message ?? '') : 'it is no object');
  }
  if (data.event_type !== 'CREATE') return { kind: 'other' };
  const customer = parseRecord(data.customer);
  if (typeof customer === 'string') return unusable(`its customer cannot be used: ${customer}`);
  return { kind: 'created', customer };
}

/** Parses an event from its bytes or its text; it is unusable unless it is JSON in UTF-8. */
export function readEvent(json: Buffer | string): CustomerEvent {
  try {
    return parseEvent(parseForeignJson(json));
  } catch (error) {
    if (error instanceof JsonError) return unusable(error.message);
    throw error;
  }
}

const unusable = (reason: string): CustomerEvent => ({ kind: 'unusable', reason });
