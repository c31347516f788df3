import { strictSerializerCompiler } from 'service-kit/serialization';
import { webhookSecretsSchema } from 'service-kit/webhook-signature';
import { Webhook } from 'standardwebhooks';
import { onTestFinished } from 'vitest';
import { buildApp } from '../src/app.ts';
import type { LedgerError } from '../src/delivery/ledger/ledger-error.ts';
import { setUpService } from './support.ts';

export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
/** A second secret. */
export const OLD_SECRET = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';

/** The body of a webhook. */
export const eventOf = (customer: unknown, event_type = 'CREATE') =>
  JSON.stringify({ event_id: 'e', event_type, occurred_at: '2026-01-01T00:00:00Z', customer });

type ServiceOptions = NonNullable<Parameters<typeof setUpService>[0]>;

export interface WebhookTestOptions extends ServiceOptions {
  secrets?: string;
  /** The ledger refuses everything that is ingested, with this error. */
  failure?: LedgerError;
}

/** The route with a real ledger, and a sender that uses the Standard Webhooks library. */
export async function setUpWebhooks(options: WebhookTestOptions = {}) {
  const { secrets = SECRET, failure } = options;
  const service = await setUpService({
    ...{ webhookSecrets: webhookSecretsSchema.parse(secrets), surgeWindowMs: 3_600_000 },
    ...(failure && { ledgerFails: { ingest: () => Promise.reject(failure) } }),
    ...options,
  });
  const app = await buildApp({
    ...{ log: service.log, metrics: service.registry, now: Date.now },
    serializerCompiler: strictSerializerCompiler,
    ...{ host: '127.0.0.1', ledger: service.ledger, flows: [service.open] },
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
    app,
    post,
    sign,
    send: (body: string, options?: Parameters<typeof sign>[1]) => post(sign(body, options), body),
    received: async (result: string) => {
      const text = await service.registry.metrics();
      const line = `events_received_total{flow="welcome-package",source="webhook",result="${result}"} `;
      return Number(text.split(line)[1]?.split('\n')[0]);
    },
  };
}
