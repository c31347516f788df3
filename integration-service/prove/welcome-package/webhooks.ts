import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { Tools } from '../proof.ts';
import { answerJson, createStandIn } from '../systems/stand-in.ts';
import { createTcpProxy } from '../systems/tcp-proxy.ts';
import type { EventRoute } from './crm.ts';

/** Longer than a commit takes when many run in parallel, and shorter than crm-api's timeout. */
const TIMEOUT_MS = 10_000;

/**
 * A relay that passes each webhook on twice, one after the other or both at once; if there are several
 * processes, to two of them. It answers with the higher of the two statuses.
 */
export async function openWebhooks(tools: Tools): Promise<EventRoute> {
  const { serviceUrls, random, cleanUp } = tools;
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const relay = cleanUp.use(
    await createStandIn(async (request, response) => {
      const statuses = await passOnTwice(request.headers, await buffer(request));
      answerJson(response, Math.max(...statuses), {});
    }),
  );
  const proxy = cleanUp.use(await createTcpProxy(new URL(relay.origin)));

  async function passOnTwice(headers: IncomingHttpHeaders, body: Buffer): Promise<number[]> {
    const urls = serviceUrls();
    const start = Math.floor(random() * urls.length);
    const send = (i: number) => passOn(urls[(start + i) % urls.length], headers, body);
    if (random() < 0.5) return Promise.all([send(0), send(1)]);
    return [await send(0), await send(1)];
  }

  async function passOn(url: string | undefined, headers: IncomingHttpHeaders, body: Buffer) {
    const own = Object.entries(headers).filter(([name]) => /^(webhook-|content-type$)/.test(name));
    const sent = await fetch(`${url}/webhooks/customers`, {
      method: 'POST',
      headers: Object.fromEntries(own) as Record<string, string>,
      body: new Uint8Array(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch(() => undefined);
    return sent?.status ?? 502;
  }

  return {
    crmEnv: { CRM_EVENTS_URL: `http://127.0.0.1:${proxy.port}/`, WEBHOOK_SECRET: secret },
    serviceEnv: { WEBHOOK_SECRET: secret },
    disturbances: [
      { kind: 'cut', run: () => proxy.cut('answer') },
      { kind: 'cut', run: () => proxy.cut('request') },
    ],
  };
}
