import { Validator } from '@seriousme/openapi-schema-validator';
import { createMetrics, type Readiness } from 'service-kit/operations';
import { strictSerializerCompiler } from 'service-kit/serialization';
import { expect, it, onTestFinished } from 'vitest';
import { describeConnections } from '../../service-kit/test/connection-contract.ts';
import { type AppOptions, buildApp } from '../src/app.ts';
import { createPollMetrics } from '../src/delivery/ingest/metrics.ts';
import { captureLog, setUpService } from './support.ts';

async function setUp(options: Partial<AppOptions> = {}) {
  const { ledger, open } = await setUpService();
  const metrics = createMetrics();
  createPollMetrics(metrics);
  const app = await buildApp({
    log: captureLog().log,
    metrics,
    checkReadiness: () => ({ ready: true }),
    serializerCompiler: strictSerializerCompiler,
    host: '127.0.0.1',
    ledger,
    flows: [open],
    now: Date.now,
    ...options,
  });
  onTestFinished(() => app.close());
  return app;
}

it('is alive even when it is not ready, and says why it is not', async () => {
  const readiness: Readiness = { ready: false, reason: 'No poll succeeded.' };
  const app = await setUp({ checkReadiness: () => readiness });
  expect((await app.inject({ url: '/healthz' })).statusCode).toBe(200);
  const response = await app.inject({ url: '/readyz' });
  expect(response.statusCode).toBe(503);
  expect(response.json()).toEqual({ detail: 'No poll succeeded.' });
});

it('is ready when the poller is', async () => {
  const response = await (await setUp()).inject({ url: '/readyz' });
  expect(response.statusCode).toBe(200);
  expect(response.json()).toEqual({ status: 'ok' });
});

it.each([
  [200, { ready: true }, { status: 'ok' }],
  [503, { ready: false, reason: 'No poll succeeded.' }, { detail: 'No poll succeeded.' }],
] as const)(
  'names what is degraded, also where it can do its work: %i',
  async (status, readiness, body) => {
    const degraded = [{ part: 'inventory', reason: 'It fails.' }];
    const app = await setUp({ checkReadiness: () => ({ ...readiness, degraded }) });
    const response = await app.inject({ url: '/readyz' });
    expect(response.statusCode).toBe(status);
    expect(response.json()).toEqual({ ...body, degraded });
  },
);

it("shows the poller's metrics and those of the process", async () => {
  const { body, headers } = await (await setUp()).inject({ url: '/metrics' });
  expect(headers['content-type']).toMatch(/^text\/plain/);
  for (const name of [
    'polls_total',
    'records_seen_total',
    'poll_duration_seconds',
    'last_successful_poll_timestamp_seconds',
    'process_cpu_seconds_total',
    'nodejs_eventloop_lag_seconds',
  ]) {
    expect(body).toContain(`# TYPE ${name} `);
  }
});

it('is described by what all of its flows do', async () => {
  const { info } = (await (await setUp({})).inject({ url: '/openapi.json' })).json();
  expect(info.description).toMatch(/each flow/);
  expect(info.description).not.toMatch(/package|CRM|inventory/);
});

it('gives no example of a parameter that Swagger UI would fill in, and narrow a list by', async () => {
  const { paths } = (await (await setUp({})).inject({ url: '/openapi.json' })).json();
  for (const parameter of paths['/deliveries'].get.parameters) {
    expect(parameter).not.toHaveProperty('example');
    expect(parameter.schema).not.toHaveProperty('examples');
  }
});

it('documents which bodies must be there, what they may have and what parameters may be', async () => {
  const { paths } = (await (await setUp({})).inject({ url: '/openapi.json' })).json();
  const [replay, release] = ['replay', 'release'].map((name) => {
    const { required, content } = paths[`/deliveries/${name}`].post.requestBody;
    return { required, schema: content['application/json'].schema };
  });
  expect(replay).toMatchObject({ required: true, schema: { additionalProperties: false } });
  expect(release).toMatchObject({ required: true, schema: { additionalProperties: false } });
  const { parameters, responses } = paths['/deliveries'].get;
  const schemaOf = (name: string) =>
    parameters.find((parameter: { name: string }) => parameter.name === name).schema;
  expect(schemaOf('cursor')).toMatchObject({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
  expect(schemaOf('lane')).toMatchObject({ pattern: '^[^\\u0000]*$' });
  expect(schemaOf('flow')).toMatchObject({ enum: ['welcome-package'] });
  expect(responses[401].headers).toHaveProperty('WWW-Authenticate');
});

it.each([undefined, 'a-token-of-mine'])(
  'documents itself, with the token %j',
  async (adminToken) => {
    const app = await setUp({ adminToken });
    const document = (await app.inject({ url: '/openapi.json' })).json();
    expect(document.info.title).toBe('Integration Service');
    expect((await new Validator().validate(document)).errors).toBeUndefined();
    expect((await app.inject({ url: '/docs' })).statusCode).toBe(200);
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        '/deliveries',
        '/deliveries/{flow}/{key}',
        '/deliveries/replay',
        '/deliveries/release',
      ]),
    );
    const { security } = document.paths['/deliveries'].get;
    expect(security).toEqual(adminToken ? [{ adminToken: [] }] : []);
    expect(document.components.securitySchemes).toEqual(
      adminToken ? { adminToken: { type: 'http', scheme: 'bearer' } } : undefined,
    );
  },
);

describeConnections(setUp, ['/deliveries']);

it('says of a route whose flow is off that it is off', async () => {
  const app = await setUp({ pathsOff: [['/webhooks/customers', 'welcome-package']] });
  const response = await app.inject({ method: 'POST', url: '/webhooks/customers' });
  expect([response.statusCode, response.json()]).toEqual([
    ...[404, { detail: 'The flow welcome-package is off (FLOWS).' }],
  ]);
  const { paths } = (await app.inject({ url: '/openapi.json' })).json();
  expect(Object.keys(paths)).not.toContain('/webhooks/customers');
});
