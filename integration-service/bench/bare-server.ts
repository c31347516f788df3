/** The minimal server of each kind, which the services are compared with. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';

const [kind, bytes = '0'] = process.argv.slice(2);

/** Fastify with a schema, a Map and a UUID. */
async function serveCreates(): Promise<string> {
  const text = { type: 'string' };
  const app = fastify();
  const customers = new Map<string, object>();
  const body = {
    type: 'object',
    required: ['name', 'email'],
    properties: { name: text, email: text },
  };
  const stored = { ...body, properties: { ...body.properties, id: text, created_at: text } };
  app.post<{ Body: { name: string; email: string } }>(
    '/customers',
    { schema: { body, response: { 201: stored } } },
    async ({ body: { name, email } }, reply) => {
      if (customers.has(email)) return reply.code(409).send();
      const customer = { name, email, id: randomUUID(), created_at: new Date().toISOString() };
      customers.set(email, customer);
      return reply.code(201).send(customer);
    },
  );
  return app.listen({ host: '127.0.0.1', port: 0 });
}

/** A node:http server that answers every request with `count` bytes. */
async function serveBytes(count: number): Promise<string> {
  const content = Buffer.alloc(count, 'x');
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json; charset=utf-8');
    response.setHeader('content-length', content.length);
    response.end(content);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const url = await (kind === 'creates' ? serveCreates() : serveBytes(Number(bytes)));
process.stdout.write(`${url}\n`);
