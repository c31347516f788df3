import { Validator } from '@seriousme/openapi-schema-validator';
import { createMetrics, type Readiness } from 'service-kit/operations';
import { strictSerializerCompiler } from 'service-kit/serialization';
import { expect, it, onTestFinished } from 'vitest';
import { buildApp } from '../src/app.ts';
import { createPollerMetrics } from '../src/metrics.ts';
import { captureLog } from './support.ts';

async function setUp(checkReadiness: () => Readiness = () => ({ ready: true })) {
  const metrics = createMetrics();
  createPollerMetrics(metrics);
  const app = await buildApp({
    log: captureLog().log,
    metrics,
    checkReadiness,
    serializerCompiler: strictSerializerCompiler,
  });
  onTestFinished(() => app.close());
  return app;
}

it('is alive even when it is not ready, and says why it is not', async () => {
  const app = await setUp(() => ({ ready: false, reason: 'No poll succeeded.' }));
  expect((await app.inject({ url: '/healthz' })).statusCode).toBe(200);
  const readiness = await app.inject({ url: '/readyz' });
  expect(readiness.statusCode).toBe(503);
  expect(readiness.json()).toEqual({ detail: 'No poll succeeded.' });
});

it('is ready when the poller is', async () => {
  const response = await (await setUp()).inject({ url: '/readyz' });
  expect(response.statusCode).toBe(200);
  expect(response.json()).toEqual({ status: 'ok' });
});

it("shows the poller's metrics and those of the process", async () => {
  const { body, headers } = await (await setUp()).inject({ url: '/metrics' });
  expect(headers['content-type']).toMatch(/^text\/plain/);
  for (const name of [
    'polls_total',
    'customers_seen_total',
    'package_requests_total',
    'poll_duration_seconds',
    'last_successful_poll_timestamp_seconds',
    'process_cpu_seconds_total',
    'nodejs_eventloop_lag_seconds',
  ]) {
    expect(body).toContain(`# TYPE ${name} `);
  }
});

it('documents itself', async () => {
  const app = await setUp();
  const document = (await app.inject({ url: '/openapi.json' })).json();
  expect(document.info.title).toBe('Integration Service');
  expect((await new Validator().validate(document)).errors).toBeUndefined();
  expect((await app.inject({ url: '/docs' })).statusCode).toBe(200);
});
