import { createMetrics } from 'service-kit/operations';
import { strictSerializerCompiler } from 'service-kit/serialization';
import { webhookSecretsSchema } from 'service-kit/webhook-signature';
import { Webhook } from 'standardwebhooks';
import { onTestFinished } from 'vitest';
import { buildApp } from '../src/app.ts';
import { createEventMetrics } from '../src/delivery/ingest/metrics.ts';
import type { LedgerError } from '../src/delivery/ledger/ledger-error.ts';
import { openEventSources } from '../src/welcome-package/event-sources.ts';
import { captureLog, setUpService } from './support.ts';

export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
/** A second secret. */
export const OLD_SECRET = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';

/** The body of a webhook. */
export const eventOf = (customer: unknown, event_type = 'CREATE') =>
  JSON.stringify({ event_id: 'e', event_type, occurred_at: '2026-01-01T00:00:00Z', customer });

export interface WebhookTestOptions extends NonNullable<Parameters<typeof setUpService>[0]> {
  secrets?: string;
  now?: () => number;
  ledgerFails?: LedgerError;
}

/** The route with a real ledger, and a sender that uses the Standard Webhooks library. */
export async function setUpWebhooks(options: WebhookTestOptions = {}) {
  const { secrets = SECRET, ledgerFails, surgeLimit, now = Date.now } = options;
  const service = await setUpService(options);
  const { log, messages } = captureLog();
  const metrics = createMetrics();
  const sources = openEventSources(
    {
      webhookSecrets: webhookSecretsSchema.parse(secrets),
      rabbitmqUrl: undefined,
      surgeLimit,
      pollingIntervalMs: 3_600_000,
    },
    {
      ...service,
      ...(ledgerFails && { sight: () => Promise.reject(ledgerFails) }),
      metrics: createEventMetrics(metrics),
      log,
      random: Math.random,
    },
  );
  const app = await buildApp({
    log,
    metrics,
    serializerCompiler: strictSerializerCompiler,
    host: '127.0.0.1',
    ledger: service.ledger,
    targets: {},
    canonicalId: (id) => id,
    onDue: () => {},
    now,
    webhookRoute: sources.webhookRoute,
  });
  onTestFinished(() => app.close());

  const post = (headers: Record<string, string>, payload: string | Buffer) =>
    app.inject({ method: 'POST', url: '/webhooks/customers', headers, payload });

  function sign(body: string, { id = 'msg_1', at = Date.now(), secret = SECRET } = {}) {
    const time = new Date(at);
    return {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at / 1_000)),
      'webhook-signature': new Webhook(secret).sign(id, time, body),
    };
  }

  return {
    ...service,
    messages,
    app,
    sources,
    post,
    sign,
    send: (body: string, options?: Parameters<typeof sign>[1]) => post(sign(body, options), body),
    received: async (result: string) => {
      const text = await metrics.metrics();
      const line = `events_received_total{source="webhook",result="${result}"} `;
      return Number(text.split(line)[1]?.split('\n')[0]);
    },
  };
}
