import { queryNumber } from 'service-kit/query';
import { textSchema as anyTextSchema } from 'service-kit/validation';
import { z } from 'zod';
import { STATUSES } from './delivery.ts';
import type { DeliveryRow, HistoryEvent } from './ledger/tables.ts';

const MAX_LIMIT = 1_000;
const DEFAULT_LIMIT = 100;

/** What the ledger can have in it: PostgreSQL stores no NUL. */
const textSchema = anyTextSchema.refine(
  (text) => !text.includes('\0'),
  'Input should have no NUL in it',
);
const timeSchema = z.iso.datetime();
const statusSchema = z.enum(STATUSES, `Input should be one of ${STATUSES.join(', ')}`);
const keySchema = textSchema.meta({
  description: "What is delivered, within its leg. For welcome-package, the customer's id.",
  examples: ['26903934-a784-469e-a61d-14023f521250'],
});
const legSchema = textSchema.meta({
  description: 'The journey that it is on.',
  examples: ['welcome-package'],
});
const customerIdSchema = textSchema.meta({
  description: 'Whose it is.',
  examples: ['26903934-a784-469e-a61d-14023f521250'],
});

const deliveryFields = {
  leg: legSchema,
  key: keySchema,
  customer_id: customerIdSchema,
  status: statusSchema.meta({ description: 'How far it has come.', examples: ['delivered'] }),
  attempts: z.int().meta({ description: 'Calls to the target so far.', examples: [1] }),
  next_attempt_at: timeSchema
    .nullable()
    .meta({ description: 'When it is sent (pending) or the target is asked (unknown), UTC.' }),
  last_error: z
    .string()
    .nullable()
    .meta({ description: 'Why it is not delivered.', examples: [null] }),
  created_at: timeSchema.meta({ description: 'When it was first sighted, UTC.' }),
  updated_at: timeSchema.meta({ description: 'When it last changed, UTC.' }),
};

export const deliverySchema = z
  .object(deliveryFields)
  .meta({ id: 'Delivery', description: 'One thing that must reach a target once.' });

const eventSchema = z
  .object({
    at: timeSchema.describe('When, UTC.'),
    what: z.string().meta({
      description:
        'sighted, adopted (the target had it already), an attempt by its outcome (delivered, transient, unknown, permanent, unauthorized, withdrawn), a read of the target by its verdict (found, not_found, not_read), lease_lost, released, replayed or repaired.',
      examples: ['delivered'],
    }),
    attempt: z.int().nullable().describe('The number of the attempt that it is about.'),
    status_code: z.int().nullable().describe("The status of the target's answer."),
    reason: z.string().nullable().describe("Why, or the target's id of what was delivered."),
    next_attempt_at: timeSchema.nullable().describe('What was decided for the next time.'),
  })
  .meta({ id: 'Event', description: 'One thing that happened to a delivery.' });

export const deliveryWithHistorySchema = z
  .object({ ...deliveryFields, history: z.array(eventSchema).describe('In order of time.') })
  .meta({
    id: 'DeliveryWithHistory',
    description: 'A delivery and everything that happened to it.',
  });

export const deliveryParamsSchema = z.object({ leg: legSchema, key: keySchema });

export const deliveryQuerySchema = z.object({
  status: statusSchema.optional().meta({ description: 'Only those of this status.' }),
  leg: textSchema.optional().meta({ description: 'Only those of this leg.' }),
  customer_id: textSchema.optional().meta({ description: 'Only those of this customer.' }),
  limit: queryNumber({
    description: 'How many at the most.',
    minimum: 1,
    maximum: MAX_LIMIT,
  }).default(DEFAULT_LIMIT),
  cursor: queryNumber({
    description: 'Where to go on; the Link header has it.',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
  }).default(0),
});

/** Strict: who misspells `dry_run` must not set off the real thing. */
export const replayRequestSchema = z
  .strictObject({
    leg: legSchema.optional(),
    keys: z.array(keySchema).max(10_000).optional().meta({ description: 'Only these.' }),
    customer_id: customerIdSchema.optional(),
    reason: textSchema
      .optional()
      .meta({ description: 'Only those whose last_error has this in it.', examples: ['422'] }),
    dry_run: z.boolean().default(false).meta({ description: 'Ask the target and change nothing.' }),
  })
  .nullish()
  .transform((filter) => filter ?? { dry_run: false })
  .meta({
    description: 'Which dead letters; without any field, all of them.',
    examples: [{ leg: 'welcome-package', dry_run: true }],
  });

export const replayReportSchema = z
  .object({
    matched: z.int().describe('Dead letters that fit.'),
    to_send: z.int().describe('Those that the target does not have.'),
    already_delivered: z.int().describe('Those that the target turned out to have.'),
    deliveries: z.array(
      z.object({
        leg: legSchema,
        key: keySchema,
        verdict: z.enum(['to_send', 'already_delivered']).describe('What the target said.'),
      }),
    ),
  })
  .meta({ id: 'ReplayReport', description: 'What a replay did, or would do.' });

export const releaseRequestSchema = z
  .strictObject({ leg: legSchema.optional() })
  .nullish()
  .transform((filter) => filter ?? {})
  .meta({ description: 'Which leg; without it, all of them.', examples: [{}] });

export const releaseReportSchema = z
  .object({ released: z.int().describe('How many deliveries were let go.') })
  .meta({ id: 'ReleaseReport', description: 'What a release did.' });

/** A row of the ledger as the routes show it. */
export function presentDelivery(row: DeliveryRow): z.output<typeof deliverySchema> {
  const { leg, key, customer_id, status, attempts, last_error } = row;
  return {
    leg,
    key,
    customer_id,
    status,
    attempts,
    next_attempt_at: isoTime(row.next_attempt_at),
    last_error,
    created_at: isoTime(row.created_at),
    updated_at: isoTime(row.updated_at),
  };
}

/** A line of the history as the routes show it. */
export function presentEvent(event: HistoryEvent): z.output<typeof eventSchema> {
  return {
    ...event,
    at: isoTime(event.at),
    next_attempt_at: isoTime(event.next_attempt_at),
  };
}

function isoTime(time: number): string;
function isoTime(time: number | null): string | null;
function isoTime(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}
