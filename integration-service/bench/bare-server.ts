/** The minimal server of each kind, which the services are compared with. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fastify } from 'fastify';

const [kind, bytes = '0'] = process.argv.slice(2);

const text = { type: 'string' };
const body = {
  type: 'object',
  required: ['name', 'email'],
  properties: { name: text, email: text },
};
const stored = { ...body, properties: { ...body.properties, id: text, created_at: text } };
type Creation = { Body: { name: string; email: string } };

/** Fastify with a schema, a Map and a UUID. */
async function serveCreates(): Promise<string> {
  const app = fastify();
  const customers = new Map<string, object>();
  app.post<Creation>(
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

/** The same, with a row in a SQLite file instead of the Map, committed to the disk before the answer. */
async function serveRows(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true }));
  process.once('SIGTERM', () => process.exit());
  const database = new DatabaseSync(join(folder, 'rows.sqlite'));
  database.exec(`pragma journal_mode = wal; pragma synchronous = full;
    create table customers (id text primary key, name text, email text unique, created_at text)`);
  const insert = database.prepare('insert into customers values (?, ?, ?, ?)');
  const app = fastify();
  app.post<Creation>(
    '/api/customers',
    { schema: { body, response: { 201: stored } } },
    async ({ body: { name, email } }, reply) => {
      const customer = { name, email, id: randomUUID(), created_at: new Date().toISOString() };
      insert.run(customer.id, name, email, customer.created_at);
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

const SERVERS: Record<string, () => Promise<string>> = {
  creates: serveCreates,
  rows: serveRows,
  bytes: () => serveBytes(Number(bytes)),
};
const url = await SERVERS[kind ?? '']?.();
process.stdout.write(`${url}\n`);
