import { STATUS_CODES } from 'node:http';
import { basicAuthorization } from 'service-kit/basic-authorization';
import { messageOf } from 'service-kit/error-message';
import { createHttpAgent, USER_AGENT } from 'service-kit/http-agent';
import { parseRetryAfter } from 'service-kit/retry';
import { signWebhook } from 'service-kit/webhook-signature';
import { request } from 'undici';
import type { Publisher, PublishResult } from './publisher.ts';

export interface WebhookOptions {
  /** A user name and password in the URL are sent as Basic authentication. */
  url: URL;
  /** The secrets that sign each webhook: the current one, and possibly one that is being replaced. */
  secrets: Buffer[];
  /** Unix time in milliseconds. */
  now: () => number;
  /** Timeout of one attempt. Default: 15 s, as the standard recommends. */
  timeoutMs?: number;
}

const CONCURRENCY = 16;

/** Statuses that concern only this event: bad request, conflict, too large, wrong type, invalid. */
const ABOUT_THE_EVENT = [400, 409, 413, 415, 422];

const NO_ROUTE = 'is the path of CRM_EVENTS_URL right, and does its server take webhooks?';

/** The most likely cause of each status. */
const HINTS: Record<number, string> = {
  401: 'does it have the same WEBHOOK_SECRET?',
  404: NO_ROUTE,
  405: NO_ROUTE,
};

/** Posts events to a URL according to Standard Webhooks 1.0.0. It does not follow redirects. */
export function createWebhookPublisher(options: WebhookOptions): Publisher {
  const { url, secrets, now, timeoutMs = 15_000 } = options;
  const agent = createHttpAgent({ connections: CONCURRENCY, connectTimeout: timeoutMs });
  const authorization = basicAuthorization(url);
  const target = new URL(url);
  target.username = '';
  target.password = '';

  return {
    // Origin only: path and query may contain secrets, too.
    target: target.origin,
    concurrency: CONCURRENCY,

    async publish({ id, json }) {
      const timestamp = Math.floor(now() / 1_000);
      const timeout = AbortSignal.timeout(timeoutMs);
      try {
        const { statusCode, headers, body } = await request(target, {
          method: 'POST',
          headers: {
            'user-agent': USER_AGENT,
            'content-type': 'application/json',
            ...(authorization && { authorization }),
            ...signWebhook(secrets, { id, timestamp }, json),
          },
          body: json,
          dispatcher: agent,
          signal: timeout,
        });
        // Read the body whatever the status, so that the connection can be reused.
        await body.dump();
        return resultOf(statusCode, parseRetryAfter(headers['retry-after'], now()));
      } catch (error) {
        const reason = timeout.aborted
          ? `no answer within ${timeoutMs / 1_000} s`
          : messageOf(error);
        return { kind: 'unavailable', reason };
      }
    },

    close: () => agent.destroy(),
  };
}

/** Interprets a status as the section "Delivery success and failure" of the standard says. */
function resultOf(status: number, retryAfterMs: number | undefined): PublishResult {
  if (status >= 200 && status < 300) return { kind: 'sent' };
  const hint = HINTS[status] && `(${HINTS[status]})`;
  const reason = [status, STATUS_CODES[status], hint].filter(Boolean).join(' ');
  if (status === 410) return { kind: 'gone', reason };
  const kind = ABOUT_THE_EVENT.includes(status) ? 'refused' : 'unavailable';
  return { kind, reason, retryAfterMs };
}
