import { commonErrors, errorAnswer } from 'service-kit/answers';
import { HttpError } from 'service-kit/errors';
import type { HttpService } from 'service-kit/http-service';
import type { Logger } from 'service-kit/logger';
import { createRateLimitedLog } from 'service-kit/rate-limited-log';
import { verifyWebhook, webhookHeaders } from 'service-kit/webhook-signature';
import { z } from 'zod';
import type { Sink } from '../delivery/flow.ts';
import type { EventMetrics } from '../delivery/ingest/metrics.ts';
import { documentedEventSchema } from '../systems/crm/customer-event.ts';
import { readMessage } from './item.ts';

export const WEBHOOKS_TAG = {
  name: 'webhooks',
  description: 'What the CRM tells by itself.',
};

export interface WebhookRouteOptions {
  /** A webhook must be signed with one of them. */
  secrets: Buffer[];
  sink: Sink;
  metrics: EventMetrics;
  log: Logger;
  /** Unix time in milliseconds. */
  now: () => number;
}

/** After this time, a webhook that could not be committed may be sent again. */
const RETRY_AFTER_SECONDS = '5';

/** `POST /webhooks/customers`: takes an event that was sent according to Standard Webhooks 1.0.0. */
export function addWebhookRoute(app: HttpService, options: WebhookRouteOptions): void {
  const { secrets, sink, metrics, log, now } = options;
  const logLimited = createRateLimitedLog(log, 'warn');

  function refuse(statusCode: number, reason: string): HttpError {
    metrics.count('invalid');
    logLimited('refused webhooks', `Refused a webhook: ${reason}.`);
    return new HttpError(statusCode, reason);
  }

  app.register(async (scope: HttpService) => {
    // The signature covers the raw bytes, whatever their content and content type are.
    scope.addHook('onRequest', (request, _reply, done) => {
      delete request.headers['content-type'];
      done();
    });
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, body);
    });

    scope.post(
      '/webhooks/customers',
      {
        validatorCompiler: () => (value) => ({ value }),
        onSend: (_request, reply, payload, done) => {
          if (reply.statusCode === 503) reply.header('retry-after', RETRY_AFTER_SECONDS);
          done(null, payload);
        },
        schema: {
          operationId: 'receiveCustomerEvent',
          summary: 'Take an event of a customer',
          description:
            'By Standard Webhooks 1.0.0, signed with `WEBHOOK_SECRET`; here only when that is set. The customer of a ' +
            '`CREATE` is in the ledger when the answer is 202; other events are taken and change nothing. To ' +
            'send one again has no effect.',
          tags: [WEBHOOKS_TAG.name],
          headers: z.looseObject(webhookHeaders),
          body: documentedEventSchema,
          response: {
            ...commonErrors,
            202: { description: 'The event was taken.', content: {} },
            400: errorAnswer(
              'It is signed, but no event.',
              'The event cannot be used: its customer cannot be used: it has no id',
            ),
            401: errorAnswer(
              'It is not signed with our secret, or more than 5 minutes ago.',
              'webhook-signature has no signature made with our secret',
            ),
            413: errorAnswer('The body is larger than 1 MiB.', 'Request body is too large'),
            503: {
              ...errorAnswer(
                'It could not be committed. It may come again.',
                'The disk of the ledger /data/ledger.sqlite is full. Nothing is sent until there is room.',
              ),
              headers: {
                'Retry-After': z.string().meta({
                  description: 'After how many seconds.',
                  examples: [RETRY_AFTER_SECONDS],
                }),
              },
            },
          },
        },
      },
      async ({ headers, body }, reply) => {
        const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
        const flaw = verifyWebhook(secrets, headers, bytes, now());
        if (flaw) throw refuse(401, flaw);
        const message = readMessage(bytes);
        if (message.kind === 'unusable') {
          throw refuse(400, `The event cannot be used: ${message.reason}`);
        }
        if (message.kind === 'items') await sink(message.items);
        else metrics.count('ignored');
        return reply.code(202).send();
      },
    );
  });
}
