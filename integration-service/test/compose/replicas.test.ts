import { expect, it } from 'vitest';
import { temporaryFolder } from '../ledgers.ts';
import { examplesOf, placeOf } from '../pages.ts';
import { createProject, execute, REPLICAS, withReplicas } from './project.ts';

const { compose, run, createCustomers, packages } = await createProject(
  await withReplicas(),
  'postgres',
);

it('three replicas share the work over PostgreSQL; they take over what a killed one had, and outlive a restart of the database', async () => {
  await compose('up', '--build', '--wait', ...REPLICAS.scale);
  const logs = () => compose('logs', '--no-color', '--timestamps', 'integration-service');
  const replicasThat = (lines: string, text: string) =>
    new Set(
      lines
        .split('\n')
        .filter((line) => line.includes(text))
        .map((line) => /integration-service-\d+/.exec(line)?.[0]),
    );

  // Each replica looks for work about once a second, so create customers in groups until all replicas have
  // worked.
  let created = 0;
  let working = '';
  await expect
    .poll(
      async () => {
        await createCustomers(200);
        created += 200;
        working = await logs();
        return replicasThat(working, 'Successfully created').size;
      },
      { timeout: 60_000 },
    )
    .toBe(REPLICAS.count);

  // One poll per interval for all replicas: never two within the second between polls.
  const polls = [...working.matchAll(/(\S+Z) .*Polling cycle started/g)]
    .map(([, time]) => Date.parse(time as string))
    .sort((a, b) => a - b);
  const gaps = polls.slice(1).map((at, i) => at - (polls[i] as number));
  expect(Math.min(...gaps)).toBeGreaterThan(900);

  const [victim] = (await compose('ps', '--quiet', 'integration-service')).split('\n');
  const creating = createCustomers(500);
  await execute('docker', ['kill', '--signal', 'KILL', victim as string]);
  await creating;
  await expect.poll(async () => (await packages()).length, { timeout: 60_000 }).toBe(created + 500);
  expect(new Set(await packages()).size).toBe(created + 500);

  await compose('restart', '--timeout', '3', 'postgres');
  await createCustomers(100);
  await expect.poll(async () => (await packages()).length, { timeout: 60_000 }).toBe(created + 600);
  expect(new Set(await packages()).size).toBe(created + 600);
  expect(await logs()).not.toContain('Unexpected error');
});

it('back up their ledger, restore it, and stop, as the page on operations says', async () => {
  const before = await packages();
  const folder = temporaryFolder();
  const examples = examplesOf('docs/operations.md').filter((each) => placeOf(each) === 'replicas');
  expect(examples.length).toBeGreaterThanOrEqual(3);
  for (const { script } of examples.slice(0, -1)) await run(script, folder);
  await compose('up', '--wait', ...REPLICAS.scale);
  await createCustomers(1);
  await expect.poll(packages, { timeout: 60_000 }).toHaveLength(before.length + 1);
  await run(examples.at(-1)?.script as string, folder);
  expect((await compose('ps', '--quiet')).trim()).toBe('');
});
