import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { createCutter } from '../systems/cutter.ts';
import { answerJson, createStandIn, readBody } from '../systems/stand-in.ts';
import type { EventSource, EventSourceOptions } from './event-source.ts';

/** Longer than a commit takes when many run in parallel, and shorter than crm-api's timeout. */
const TIMEOUT_MS = 10_000;

/**
 * A relay that passes each webhook on twice, one after the other or both at once; if there are several
 * processes, to two of them. It answers with the higher of the two statuses.
 */
export async function openWebhookSource(options: EventSourceOptions): Promise<EventSource> {
  const { serviceUrls, random, signal } = options;
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const cutter = createCutter('webhooks', signal);

  const relay = await createStandIn(async (request, response) => {
    const body = await readBody(request);
    if (cutter.isDue('request')) return void request.socket.resetAndDestroy();
    const statuses = await passOnTwice(request.headers, body);
    if (cutter.isDue('answer')) return void request.socket.resetAndDestroy();
    const status = Math.max(...statuses);
    answerJson(response, status, {});
  });

  async function passOnTwice(headers: IncomingHttpHeaders, body: Buffer): Promise<number[]> {
    const urls = serviceUrls();
    const start = Math.floor(random() * urls.length);
    const send = (i: number) => passOn(urls[(start + i) % urls.length], headers, body);
    if (random() < 0.5) return Promise.all([send(0), send(1)]);
    return [await send(0), await send(1)];
  }

  async function passOn(url: string | undefined, headers: IncomingHttpHeaders, body: Buffer) {
    if (!url) return 502;
    const own = Object.entries(headers).filter(([name]) => /^(webhook-|content-type$)/.test(name));
    try {
      const { status } = await fetch(`${url}/webhooks/customers`, {
        method: 'POST',
        headers: Object.fromEntries(own) as Record<string, string>,
        body: new Uint8Array(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return status;
    } catch {
      return 502;
    }
  }

  return {
    crmEnv: { CRM_EVENTS_URL: `${relay.origin}/`, WEBHOOK_SECRET: secret },
    serviceEnv: { WEBHOOK_SECRET: secret },
    disturbances: [
      { kind: 'cut', run: () => cutter.cut('answer') },
      { kind: 'cut', run: () => cutter.cut('request') },
    ],
    async [Symbol.asyncDispose]() {
      relay.close();
    },
  };
}
