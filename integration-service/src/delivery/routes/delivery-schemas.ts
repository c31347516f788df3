import { lastValue, queryChoices, queryTime } from 'service-kit/query';
import { refuse, strictObject, textSchema } from 'service-kit/validation';
import { z } from 'zod';
import { REPLAY_VERDICTS } from '../audit/replay.ts';
import { STATUSES } from '../delivery.ts';
import type { DeliveryRow, HistoryEvent } from '../ledger/tables.ts';
import { pagingFields } from './paging.ts';

/** A text that the ledger can store: PostgreSQL stores no NUL. */
export const storableTextSchema = textSchema
  .refine((text) => !text.includes('\0'), 'Input should have no NUL in it')
  .meta({ pattern: '^[^\\u0000]*$' });
const timeSchema = z.iso.datetime();
const statusSchema = z.enum(STATUSES, `Input should be one of ${STATUSES.join(', ')}`);
const keySchema = storableTextSchema.meta({
  description: "What is delivered, within its flow. For welcome-package, the customer's id.",
  examples: ['26903934-a784-469e-a61d-14023f521250'],
});
const flowSchema = storableTextSchema.meta({
  description: 'The journey that it is on.',
  examples: ['welcome-package'],
});
const laneSchema = storableTextSchema.meta({
  description: 'Whose it is.',
  examples: ['26903934-a784-469e-a61d-14023f521250'],
});

export const deliverySchema = z
  .object({
    flow: flowSchema,
    key: keySchema,
    lane: laneSchema,
    status: statusSchema.meta({ description: 'How far it has come.', examples: ['delivered'] }),
    attempts: z.int().meta({
      description: 'Calls to the target so far, each of them a line of the history.',
      examples: [1],
    }),
    next_attempt_at: timeSchema.nullable().meta({
      description:
        'When it is sent (pending) or the target is asked (unknown), UTC; not before the target may be called again.',
    }),
    last_error: z
      .string()
      .nullable()
      .meta({ description: 'Why it is not delivered.', examples: [null] }),
    created_at: timeSchema.meta({ description: 'When it was first ingested, UTC.' }),
    updated_at: timeSchema.meta({ description: 'When it last changed, UTC.' }),
  })
  .meta({ id: 'Delivery', description: 'One thing that must reach a target once.' });

const eventSchema = z
  .object({
    at: timeSchema.describe('When, UTC.'),
    what: z.string().meta({
      description:
        'ingested, adopted (the target had it already), an attempt by its outcome (delivered, stale, transient, throttled, unknown, permanent, unauthorized, aborted), a read of the target by its verdict (found, not_found, not_read), held, dead, superseded, lease_lost, released, replayed or repaired.',
      examples: ['delivered'],
    }),
    attempt: z.int().nullable().describe('The number of the attempt that it is about.'),
    status_code: z.int().nullable().describe("The status of the target's answer."),
    reason: z.string().nullable().describe("Why, or the target's id of what was delivered."),
    next_attempt_at: timeSchema.nullable().describe('What was decided for the next time.'),
  })
  .meta({ id: 'Event', description: 'One thing that happened to a delivery.' });

export const deliveryWithHistorySchema = deliverySchema
  .extend({ history: z.array(eventSchema).describe('In order of time.') })
  .meta({
    id: 'DeliveryWithHistory',
    description: 'A delivery and everything that happened to it.',
  });

export const deliveryParamsSchema = z.object({ flow: flowSchema, key: keySchema });

/** The name of a flow that exists: a misspelt one would look like one without deliveries. */
const knownFlowSchema = (flowNames: readonly string[]) =>
  z.enum(flowNames, `Input should be one of ${flowNames.join(', ')}`);

export function deliveryQuerySchema(flowNames: readonly string[]) {
  return strictObject({
    status: queryChoices(STATUSES, 'Only those of one of these: `dead,held`, or repeated.'),
    flow: lastValue(knownFlowSchema(flowNames))
      .optional()
      .meta({ description: 'Only those of this flow.' }),
    lane: lastValue(storableTextSchema)
      .optional()
      .meta({ description: 'Only those of this customer.' }),
    from: queryTime('Only those that were first ingested then or later.'),
    to: queryTime('Only those that were first ingested before that.'),
    order: lastValue(z.enum(['asc', 'desc'], 'Input should be asc or desc'))
      .default('asc')
      .meta({ description: 'By the time of the ingest; `desc`: the newest first.' }),
    ...pagingFields,
  });
}

/** For the routes that take no parameters: `?dry_run=true` must not start a real run. */
export const noQuerySchema = strictObject({});

/** Deliveries are counted up to this number. */
export const MAX_TOTAL = 10_000;
export const totalSchema = z.string().meta({
  description: `How many fit, on all pages; \`${MAX_TOTAL}+\` for more.`,
  examples: ['42'],
});

/** The longest `reason` that a filter can have. */
export const MAX_REASON_LENGTH = 1_000;

const filteredFlowSchema = (flowNames: readonly string[]) =>
  knownFlowSchema(flowNames)
    .optional()
    .meta({ description: 'Only those of this flow.', examples: ['welcome-package'] });

/** An empty text would match everything, and probably comes from a variable that is not set. */
const some = (schema: typeof storableTextSchema) => schema.min(1, 'Input should not be empty');

const filterFields = {
  keys: z.array(some(keySchema)).max(10_000).optional().meta({ description: 'Only these.' }),
  lane: some(laneSchema).optional(),
  reason: some(storableTextSchema)
    .max(MAX_REASON_LENGTH, `Input should have at most ${MAX_REASON_LENGTH} characters`)
    .optional()
    .meta({ description: 'Only those whose last_error has this in it.', examples: ['422'] }),
};

const FILTERS = ['flow', ...Object.keys(filterFields)];
const SHOWN_FILTERS = FILTERS.map((name) => `\`${name}\``).join(', ');

/**
 * Requires a filter or `all`, so that an empty request does not select everything. A dry run needs neither.
 */
function checkSelection(selection: Record<string, unknown>, context: z.core.$RefinementCtx): void {
  const { all, dry_run: dryRun } = selection;
  const isFiltered = FILTERS.some((name) => selection[name] !== undefined);
  const want = `Input should have a filter (${FILTERS.join(', ')}) or all: true`;
  if (all && isFiltered) refuse(context, 'value_error', 'Input is a filter or all, not both');
  else if (!all && !isFiltered && !dryRun) refuse(context, 'value_error', want);
}

/** The same rule in JSON Schema. */
function selectionRule(exempt?: 'dry_run') {
  const anyFilter = { anyOf: FILTERS.map((name) => ({ required: [name] })) };
  const isTrue = (name: string) => ({ required: [name], properties: { [name]: { const: true } } });
  const some = exempt ? [anyFilter, isTrue(exempt)] : [anyFilter];
  return {
    anyOf: [
      { ...isTrue('all'), not: anyFilter },
      { properties: { all: { const: false } }, anyOf: some },
    ],
  };
}

/** Strict: a misspelt `dry_run` must not start a real run. */
export const replayRequestSchema = (flowNames: readonly string[]) =>
  strictObject({
    flow: filteredFlowSchema(flowNames),
    ...filterFields,
    all: z.boolean().default(false).meta({ description: 'Take all of them, without a filter.' }),
    dry_run: z.boolean().default(false).meta({ description: 'Ask the target and change nothing.' }),
    trust_list: z.boolean().default(false).meta({
      description:
        'Send also when the target lists less than was delivered to it: it was reset, say, and its list is not cut off.',
    }),
  })
    .superRefine(checkSelection)
    .meta({
      description: `Which dead letters: those that fit ${SHOWN_FILTERS}, or \`all\`. A dry run takes all where nothing is said.`,
      examples: [{ flow: 'welcome-package', dry_run: true }],
      ...selectionRule('dry_run'),
    });

export const replayReportSchema = z
  .object({
    matched: z.int().describe('Dead letters that fit.'),
    to_send: z.int().describe('Those that the target does not have: now pending.'),
    already_delivered: z.int().describe('Those that the target turned out to have.'),
    no_longer_dead: z.int().describe('Those that another replay took in the meantime.'),
    deliveries: z.array(
      z.object({
        flow: flowSchema,
        key: keySchema,
        verdict: z.enum(REPLAY_VERDICTS).describe('In which of the three it is counted.'),
      }),
    ),
  })
  .meta({ id: 'ReplayReport', description: 'What this replay did, or would do.' });

export const releaseRequestSchema = (flowNames: readonly string[]) =>
  strictObject({
    flow: filteredFlowSchema(flowNames),
    ...filterFields,
    all: z.boolean().default(false).meta({ description: 'Release all of them, without a filter.' }),
  })
    .superRefine(checkSelection)
    .meta({
      description: `Which held deliveries: those that fit ${SHOWN_FILTERS}, or \`all\`.`,
      examples: [{ all: true }],
      ...selectionRule(),
    });

export const releaseReportSchema = z
  .object({ released: z.int().describe('How many deliveries were let go.') })
  .meta({ id: 'ReleaseReport', description: 'What a release did.' });

/**
 * A delivery as the routes show it.
 *
 * @param attempts the number of attempts in its history
 * @param blockedUntil until when its target is not called, Unix time in milliseconds
 */
export function presentDelivery(
  row: DeliveryRow,
  attempts: number,
  blockedUntil = 0,
): z.output<typeof deliverySchema> {
  const { flow, key, lane, status, last_error, next_attempt_at: dueAt } = row;
  return {
    flow,
    key,
    lane,
    status,
    // The attempt under way has no line in the history yet.
    attempts: status === 'sending' ? attempts + 1 : attempts,
    next_attempt_at: dueAt === null ? null : isoTime(Math.max(dueAt, blockedUntil)),
    last_error,
    created_at: isoTime(row.created_at),
    updated_at: isoTime(row.updated_at),
  };
}

/** A line of the history as the routes show it. */
export function presentEvent(event: HistoryEvent): z.output<typeof eventSchema> {
  const { at, next_attempt_at: dueAt } = event;
  return { ...event, at: isoTime(at), next_attempt_at: dueAt === null ? null : isoTime(dueAt) };
}

function isoTime(time: number): string {
  return new Date(time).toISOString();
}
