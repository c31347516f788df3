import { beforeAll, describe, expect, it } from 'vitest';
import { examplesOf, placeOf } from '../pages.ts';
import { createProject, REPLICAS, withReplicas } from './project.ts';

/** Within a test, polls find no customers. */
const SELDOM = { POLLING_INTERVAL_SECONDS: '3600' };

const { compose, run, set, ports, createCustomers, packages } = await createProject(
  {
    ...(await withReplicas()),
    ...SELDOM,
    CRM_EVENTS_URL: 'amqp://somebody:a-password@rabbitmq',
    RABBITMQ_USER: 'somebody',
    RABBITMQ_PASSWORD: 'a-password',
  },
  'rabbitmq',
  'postgres',
);

const untilPackages = (count: number) =>
  expect.poll(async () => (await packages()).length, { timeout: 60_000 }).toBe(count);

describe('with events for three replicas', () => {
  beforeAll(async () => {
    await compose('up', '--build', '--wait', ...REPLICAS.scale);
  });

  it('a customer has a package without a poll', async () => {
    await createCustomers(1);
    await untilPackages(1);
  });

  it('is seen in the metrics, as the page on events shows', async () => {
    const examples = examplesOf('docs/events.md').filter((each) => placeOf(each) === 'events');
    expect(examples).toHaveLength(2);
    for (const { script, answer } of examples) {
      await expect.poll(() => run(script, '/'), { timeout: 30_000 }).toBe(`${answer?.text}\n`);
    }
  });

  it('guest may not use the broker, and its web page tells the queues to who may', async () => {
    const queues = (user: string) =>
      fetch(`http://127.0.0.1:${ports.management}/api/queues`, {
        headers: { authorization: `Basic ${btoa(user)}` },
      });
    expect((await queues('guest:guest')).status).toBe(401);
    const listed = (await (await queues('somebody:a-password')).json()) as { name: string }[];
    expect(listed.map(({ name }) => name).sort()).toEqual([
      'integration.welcome-package',
      'integration.welcome-package.dead-letter',
    ]);
  });

  it('nobody is lost or doubled when the broker and all consumers are killed while customers are created', async () => {
    const before = (await packages()).length;
    let isBack = false;
    let created = 0;
    const creating = (async () => {
      for (; !isBack && created < 5_000; created += 10) await createCustomers(10);
    })();
    await compose('kill', '--signal', 'KILL', 'rabbitmq', 'integration-service');
    await compose('up', '--wait', ...REPLICAS.scale);
    isBack = true;
    await creating;
    await untilPackages(before + created);
    expect(new Set(await packages()).size).toBe(before + created);
  });

  it('a webhook takes over when it is set in place of the broker', async () => {
    const before = (await packages()).length;
    set({
      CRM_EVENTS_URL: 'http://integration-service:8002/webhooks/customers',
      WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    });
    await compose('up', '--wait', ...REPLICAS.scale);
    await createCustomers(100);
    await untilPackages(before + 100);
    expect(new Set(await packages()).size).toBe(before + 100);
  });
});
