import { answer, bodyErrors, errorAnswer } from 'service-kit/answers';
import { HttpError } from 'service-kit/errors';
import type { HttpService } from 'service-kit/http-service';
import { z } from 'zod';
import { countAttempts, numberAttempts } from '../attempts.ts';
import { replay } from '../audit/replay.ts';
import type { Flow } from '../flow.ts';
import type { Ledger } from '../ledger/ledger.ts';
import {
  deliveryParamsSchema,
  deliveryQuerySchema,
  deliverySchema,
  deliveryWithHistorySchema,
  MAX_TOTAL,
  noQuerySchema,
  presentDelivery,
  presentEvent,
  releaseReportSchema,
  releaseRequestSchema,
  replayReportSchema,
  replayRequestSchema,
  totalSchema,
} from './delivery-schemas.ts';
import { createGuarded, type GuardedOptions } from './guarded.ts';
import { linkSchema, nextPage } from './paging.ts';

export const DELIVERIES_TAG = {
  name: 'deliveries',
  description: 'What has been sent, what has not and why, and how to send it after all.',
};

export interface DeliveryRoutesOptions extends GuardedOptions {
  ledger: Ledger;
  flows: readonly RoutedFlow[];
  /** Of all flows, also of those that are off. Default: of `flows`. */
  flowNames?: readonly string[];
  now: () => number;
}

/** What the routes must know of a flow that is switched on. */
export interface RoutedFlow {
  flow: Pick<Flow, 'name' | 'target' | 'policy' | 'laneOf'>;
  dispatcher: { wake(): void };
  /** Until when its target is not called, Unix time in milliseconds; `undefined` when it may be. */
  blockedUntil(): number | undefined;
}

/** `/deliveries`: read the ledger, replay dead letters, release held deliveries. */
export function addDeliveryRoutes(app: HttpService, options: DeliveryRoutesOptions): void {
  const { ledger, flows, now } = options;
  const { flowNames = flows.map(({ flow }) => flow.name) } = options;
  const blockedUntil = (name: string) =>
    flows.find(({ flow }) => flow.name === name)?.blockedUntil();
  // An id has the same form in every flow.
  const laneOf = flows[0]?.flow.laneOf ?? ((id: string) => id);
  const guarded = createGuarded({ ...options, tag: DELIVERIES_TAG.name });

  function filterOf(request: z.output<ReturnType<typeof releaseRequestSchema>>) {
    const { lane, keys, all: _, ...filter } = request;
    return { ...filter, lane: lane && laneOf(lane), keys: keys?.map(laneOf) };
  }

  function wakeAll(): void {
    for (const { dispatcher } of flows) dispatcher.wake();
  }

  app.get(
    '/deliveries',
    guarded({
      operationId: 'listDeliveries',
      summary: 'List deliveries',
      description:
        'In the order in which they were ingested, or the newest first. The `Link` header leads to the next page.',
      querystring: deliveryQuerySchema(flowNames),
      response: {
        200: {
          ...answer('The deliveries.', z.array(deliverySchema)),
          headers: {
            Link: linkSchema,
            'X-Total-Count': totalSchema,
          },
        },
      },
    }),
    async ({ query: { limit, cursor: after, order, lane, ...rest }, url }, reply) => {
      const filter = { ...rest, lane: lane && laneOf(lane) };
      const rows = await ledger.list(filter, limit + 1, { order, after });
      const attempts = await ledger.countAttempts(rows.map(({ sequence }) => sequence));
      const total = await ledger.count(filter, MAX_TOTAL + 1);
      const page = rows.slice(0, limit);
      reply.header('x-total-count', total > MAX_TOTAL ? `${MAX_TOTAL}+` : String(total));
      if (rows.length > limit) {
        reply.header('link', nextPage(url, page.at(-1)?.sequence));
      }
      return page.map((row) =>
        presentDelivery(row, attempts.get(row.sequence) ?? 0, blockedUntil(row.flow)),
      );
    },
  );

  app.get(
    '/deliveries/:flow/:key',
    guarded({
      operationId: 'getDelivery',
      summary: 'One delivery with its history',
      params: deliveryParamsSchema,
      querystring: noQuerySchema,
      response: {
        404: errorAnswer('The ledger does not know it.', 'Not Found'),
        200: answer('The delivery.', deliveryWithHistorySchema),
      },
    }),
    async ({ params: { flow, key } }) => {
      const found = (await ledger.get(flow, key)) ?? (await ledger.get(flow, laneOf(key)));
      if (!found) throw new HttpError(404, 'Not Found');
      const history = numberAttempts(found.history);
      const attempts = countAttempts(history);
      return {
        ...presentDelivery(found.delivery, attempts, blockedUntil(flow)),
        history: history.map(presentEvent),
      };
    },
  );

  app.post(
    '/deliveries/replay',
    guarded({
      operationId: 'replayDeliveries',
      summary: 'Send dead letters again',
      description:
        'Asks the target first: what it already has becomes delivered, the rest pending. Only dead deliveries match.',
      querystring: noQuerySchema,
      body: replayRequestSchema(flowNames),
      response: {
        ...bodyErrors,
        502: errorAnswer(
          'The target gave no usable answer, or lists less than was delivered. Nothing was changed.',
          'The inventory gave no usable answer: connect ECONNREFUSED 127.0.0.1:8001. Nothing was changed.',
        ),
        200: answer('What was done, or would be.', replayReportSchema),
      },
    }),
    async ({ body: { dry_run: dryRun, trust_list: trustList, ...body } }) => {
      const filter = filterOf(body);
      const on = flows.map(({ flow }) => flow);
      const report = await replay({ ledger, flows: on, filter, dryRun, trustList, now });
      wakeAll();
      return report;
    },
  );

  app.post(
    '/deliveries/release',
    guarded({
      operationId: 'releaseDeliveries',
      summary: 'Let go what is held',
      description:
        'What the surge guard holds is sent. What is held after an attempt of unknown outcome is looked up once more, and sent when the target does not list it.',
      querystring: noQuerySchema,
      body: releaseRequestSchema(flowNames),
      response: {
        ...bodyErrors,
        200: answer('What was let go.', releaseReportSchema),
      },
    }),
    async ({ body }) => {
      const released = await ledger.release(filterOf(body), now());
      wakeAll();
      return { released };
    },
  );
}
