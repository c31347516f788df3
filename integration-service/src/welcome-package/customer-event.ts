import { z } from 'zod';
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
export const eventSchema = z
  .object({
    event_type: z
      .enum(['CREATE', 'UPDATE', 'DELETE'], {
        error: 'its event_type is none of CREATE, UPDATE and DELETE',
      })
      .meta({ description: 'What has become of the customer.', examples: ['CREATE'] }),
    customer: z
      .unknown()
      .optional()
      .meta({
        type: 'object',
        description: 'As the list of customers shows it: with an `id`, and mostly with a `name`.',
        examples: [{ id: '123e4567-e89b-42d3-a456-426614174000', name: 'Jane Doe' }],
      }),
  })
  .meta({ id: 'CustomerEvent', description: 'Something that happened to a customer.' });

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

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Parses an event from the bytes, or the text, that it came as.
 *
 * @throws {EventError} also when that is not JSON in UTF-8
 */
export function readEvent(bytes: Buffer | string): CustomerEvent {
  let text: string;
  try {
    // Another character in place of one that cannot be read would make another id.
    text = typeof bytes === 'string' ? bytes : UTF8.decode(bytes);
  } catch {
    throw new EventError('it is not valid UTF-8');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new EventError('it is not JSON');
  }
  return parseEvent(value);
}
