import {
  answer,
  bodyErrors,
  commonErrors,
  errorAnswer,
  validationErrorSchema,
} from 'service-kit/answers';
import { HttpError } from 'service-kit/errors';
import type { HttpService } from 'service-kit/http-service';
import { z } from 'zod';
import { guardErrors } from '../admin-guard.ts';
import {
  deliveryParamsSchema,
  deliveryQuerySchema,
  deliverySchema,
  deliveryWithHistorySchema,
  presentDelivery,
  presentEvent,
  releaseReportSchema,
  releaseRequestSchema,
  replayReportSchema,
  replayRequestSchema,
} from './delivery-schemas.ts';
import type { Ledger } from './ledger/ledger.ts';
import { LedgerError } from './ledger/ledger-error.ts';
import { replay } from './replay.ts';
import { ReadError, type Target } from './target.ts';

export const DELIVERIES_TAG = {
  name: 'deliveries',
  description: 'What has been sent, what has not and why, and how to send it after all.',
};

export interface DeliveryRoutesOptions {
  ledger: Ledger;
  /** By leg. */
  targets: Record<string, Target>;
  /** The form in which the ledger keeps ids of customers, and keys made of them. */
  canonicalId: (id: string) => string;
  /** Called when there is something to send. */
  onDue: () => void;
  /** What each route asks for. */
  security: Record<string, string[]>[];
  guard: ReturnType<typeof import('../admin-guard.ts').createAdminGuard>;
  now: () => number;
}

/** `/deliveries`: look into the ledger, replay dead letters, release what is held. */
export function addDeliveryRoutes(app: HttpService, options: DeliveryRoutesOptions): void {
  const { ledger, targets, canonicalId, onDue, security, guard, now } = options;
  const common = { tags: [DELIVERIES_TAG.name], security };
  const errors = {
    ...commonErrors,
    ...guardErrors,
    503: errorAnswer(
      'The ledger cannot be used now, or the service did not answer in time.',
      'The disk of the ledger /data/ledger.sqlite is full. Nothing is sent until there is room.',
    ),
  };

  app.get(
    '/deliveries',
    {
      onRequest: guard,
      schema: {
        ...common,
        operationId: 'listDeliveries',
        summary: 'List deliveries',
        description: 'In order of first sighting. The `Link` header leads to the next page.',
        querystring: deliveryQuerySchema,
        response: {
          ...errors,
          422: answer('A parameter is wrong.', validationErrorSchema),
          200: {
            ...answer('The deliveries.', z.array(deliverySchema)),
            headers: { Link: z.string().meta({ description: 'The next page, if there is one.' }) },
          },
        },
      },
    },
    async ({ query, url }, reply) => {
      const { status, leg, limit, cursor } = query;
      const customerId = query.customer_id && canonicalId(query.customer_id);
      const rows = await usable(() => ledger.list({ status, leg, customerId }, limit + 1, cursor));
      const page = rows.slice(0, limit);
      if (rows.length > limit) {
        const next = new URL(url, 'http://localhost');
        next.searchParams.set('cursor', String(page.at(-1)?.sequence));
        reply.header('link', `<${next.pathname}${next.search}>; rel="next"`);
      }
      return page.map(presentDelivery);
    },
  );

  app.get(
    '/deliveries/:leg/:key',
    {
      onRequest: guard,
      schema: {
        ...common,
        operationId: 'getDelivery',
        summary: 'One delivery with its history',
        params: deliveryParamsSchema,
        response: {
          ...errors,
          404: errorAnswer('The ledger does not know it.', 'Not Found'),
          200: answer('The delivery.', deliveryWithHistorySchema),
        },
      },
    },
    async ({ params: { leg, key } }) => {
      const found =
        (await usable(() => ledger.get(leg, key))) ??
        (await usable(() => ledger.get(leg, canonicalId(key))));
      if (!found) throw new HttpError(404, 'Not Found');
      return { ...presentDelivery(found.delivery), history: found.history.map(presentEvent) };
    },
  );

  app.post(
    '/deliveries/replay',
    {
      onRequest: guard,
      schema: {
        ...common,
        operationId: 'replayDeliveries',
        summary: 'Send dead letters again',
        description:
          'Asks the target first: what it already has becomes delivered, the rest pending. Only dead deliveries match.',
        body: replayRequestSchema,
        response: {
          ...errors,
          ...bodyErrors,
          502: errorAnswer(
            'The target could not be asked. Nothing was changed.',
            'The inventory could not be asked: connect ECONNREFUSED 127.0.0.1:8001. Nothing was changed.',
          ),
          200: answer('What was done, or would be.', replayReportSchema),
        },
      },
    },
    async ({ body: { dry_run, customer_id, keys, ...filter } }) => {
      const report = await usable(() =>
        replay({
          ledger,
          targets,
          filter: {
            ...filter,
            keys: keys?.map(canonicalId),
            customerId: customer_id && canonicalId(customer_id),
          },
          dryRun: dry_run,
          now,
        }),
      );
      onDue();
      return report;
    },
  );

  app.post(
    '/deliveries/release',
    {
      onRequest: guard,
      schema: {
        ...common,
        operationId: 'releaseDeliveries',
        summary: 'Let go what the surge guard holds',
        body: releaseRequestSchema,
        response: {
          ...errors,
          ...bodyErrors,
          200: answer('What was let go.', releaseReportSchema),
        },
      },
    },
    async ({ body: { leg } }) => {
      const released = await usable(() => ledger.release(leg, now()));
      onDue();
      return { released };
    },
  );
}

/** What a client can be told of a ledger or a target that does not work. */
async function usable<Value>(run: () => Promise<Value>): Promise<Value> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof LedgerError) throw new HttpError(503, error.message);
    if (error instanceof ReadError) {
      throw new HttpError(
        502,
        `The ${error.system} could not be asked: ${error.message}. Nothing was changed.`,
      );
    }
    throw error;
  }
}
