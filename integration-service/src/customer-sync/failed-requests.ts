/** `/failed-requests`: the changes that have not reached the CRM, and why. */
import { sql } from 'kysely';
import { answer } from 'service-kit/answers';
import type { HttpService } from 'service-kit/http-service';
import { strictObject } from 'service-kit/validation';
import { z } from 'zod';
import { STATUSES } from '../delivery/delivery.ts';
import type { RouteParts } from '../delivery/flow.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import { createGuarded } from '../delivery/routes/guarded.ts';
import { linkSchema, nextPage, pagingFields } from '../delivery/routes/paging.ts';
import type { FailedRequest } from './failed-requests-view.ts';
import { SHOP_TAG } from './shop-routes.ts';

const failedRequestSchema = z
  .object({
    customer_id: z.string().meta({
      description: 'Whose change it is.',
      examples: ['26903934-a784-469e-a61d-14023f521250'],
    }),
    operation: z.enum(['CREATE', 'UPDATE', 'DELETE']).describe('What was done to the customer.'),
    status: z.enum(STATUSES).meta({ description: 'How far it has come.', examples: ['pending'] }),
    attempts: z.int().meta({ description: 'Calls to the CRM so far.', examples: [2] }),
    last_error: z
      .string()
      .nullable()
      .meta({
        description: 'How the last of them failed.',
        examples: ['connect ECONNREFUSED 127.0.0.1:8000'],
      }),
    next_attempt_at: z.iso.datetime().nullable().meta({
      description:
        'When it is sent again, UTC, not before the CRM may be called; `null` if that is up to you.',
    }),
    since: z.iso.datetime().describe('When the change was made, UTC.'),
  })
  .meta({ id: 'FailedRequest', description: 'A change that has not reached the CRM.' });

export function addFailedRequestsRoute(
  app: HttpService,
  ledger: Pick<Ledger, 'read'>,
  { guarded: options, blockedUntil }: RouteParts,
): void {
  const guarded = createGuarded({ ...options, tag: SHOP_TAG.name });
  app.get(
    '/failed-requests',
    guarded({
      operationId: 'listFailedRequests',
      summary: 'Changes that have not reached the CRM',
      description:
        'Those of which an attempt failed, those that wait behind them, and those that are held or dead, in the order of the changes. The view `failed_requests` of the database has the same.',
      querystring: strictObject(pagingFields),
      response: {
        200: {
          ...answer('The changes.', z.array(failedRequestSchema)),
          headers: { Link: linkSchema },
        },
      },
    }),
    async ({ query: { limit, cursor = 0 }, url }, reply) => {
      const { rows } = await ledger.read((db) =>
        sql<FailedRequest>`
          select * from failed_requests where sequence > ${cursor}
          order by sequence limit ${limit + 1}`.execute(db),
      );
      const page = rows.slice(0, limit);
      if (rows.length > limit) reply.header('link', nextPage(url, page.at(-1)?.sequence));
      const until = new Date(blockedUntil() ?? 0).toISOString();
      return page.map(({ sequence: _, next_attempt_at: at, ...rest }) => {
        return { ...rest, next_attempt_at: at !== null && at < until ? until : at };
      });
    },
  );
}
