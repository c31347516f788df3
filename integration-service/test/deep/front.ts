import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import { onTestFinished } from 'vitest';

/**
 * A proxy before a service that does for a fuzzer what an OpenAPI document cannot ask of it: it signs
 * webhooks, and it gives a request another `Idempotency-Key` if its own was used for another request.
 * Everything else passes unchanged. Ends with the test.
 */
export async function startFront(service: string, webhookSecret: string): Promise<string> {
  const signer = new Webhook(webhookSecret);

  async function send(incoming: IncomingMessage, headers: IncomingHttpHeaders, body: Buffer) {
    const { method, url: path } = incoming;
    const outgoing = request(service, { method, path, headers, agent: false }).end(body);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    return { answer, content: await buffer(answer) };
  }

  function sign(headers: IncomingHttpHeaders, body: Buffer): IncomingHttpHeaders {
    const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': by } = headers;
    if (typeof id !== 'string' || !/^[^.]+$/.test(id) || !by) return headers;
    if (!/^\d{1,12}$/.test(String(timestamp))) return headers;
    const now = new Date();
    return {
      ...headers,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
      'webhook-signature': signer.sign(id, now, body.toString()),
    };
  }

  const front = createServer(async (incoming, outgoing) => {
    const body = await buffer(incoming);
    const headers = sign(incoming.headers, body);
    try {
      let { answer, content } = await send(incoming, headers, body);
      if (answer.statusCode === 422 && content.includes('was used for another request')) {
        const withNewKey = { ...headers, 'idempotency-key': randomUUID() };
        ({ answer, content } = await send(incoming, withNewKey, body));
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders).end(content);
    } catch {
      outgoing.destroy();
    }
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    front.close();
    front.closeAllConnections();
  });
  return `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
}
