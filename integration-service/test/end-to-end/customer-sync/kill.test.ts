import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LEDGER_KINDS, newLocation } from '../../ledgers.ts';
import { startCrm } from './crm.ts';
import { JANE, setUpShop } from './set-up.ts';

const VICTIM = fileURLToPath(new URL('victim.ts', import.meta.url));

describe.each(LEDGER_KINDS)('a process with its ledger in %s', (kind) => {
  it('that is killed leaves a customer and its delivery, or neither', async () => {
    const [location, crm] = [await newLocation(kind), await startCrm()];
    const before = await setUpShop({ ledger: location, crm });
    const { id } = await before.create();
    await before.deliver();
    await before.stop();
    await before.ledger.close();
    for (const operation of ['create', 'replace', 'remove']) {
      for (const diesAt of ['inside', 'after']) {
        const options = JSON.stringify({ location, diesAt, operation, id });
        const child = spawn(process.execPath, [VICTIM, options], { stdio: 'inherit' });
        expect(await once(child, 'close')).toEqual([null, 'SIGKILL']);
      }
    }
    const after = await setUpShop({ ledger: location, crm });
    const shown = (await after.get()).json();
    // Of each pair, the second took effect: a create, and a delete of what was replaced.
    expect(shown).toMatchObject([{ name: 'Jane Roe', version: 1 }]);
    expect(await after.versions()).toEqual([
      ...['1 delivered', '1 pending', '2 superseded', '3 pending'],
    ]);
    await after.deliver();
    expect((await crm.customers()).map((each) => each.id)).toEqual([shown[0].id]);
    expect(crm.writes().sort()).toEqual(['DELETE 3', 'PUT 1', 'PUT 1']);
  });
});

it('a shop that is stopped while changes come has each of them whole, or not at all', async () => {
  const [location, crm] = [await newLocation('sqlite'), await startCrm()];
  const before = await setUpShop({ ledger: location, crm });
  const asked = Array.from({ length: 30 }, (_, i) =>
    before.post({ ...JANE, email: `${i}@example.com` }),
  );
  await Promise.race(asked);
  await before.stop();
  await before.ledger.close();
  const created = (await Promise.all(asked)).filter(({ statusCode }) => statusCode === 201);
  const after = await setUpShop({ ledger: location, crm });
  const shown = (await after.get()).json();
  const keys = (await after.ledger.list({}, 99)).map(({ lane }) => lane);
  expect(shown.map(({ id }: { id: string }) => id)).toEqual(keys);
  expect(keys).toEqual(expect.arrayContaining(created.map((each) => each.json().id)));
  expect(keys.length).toBeGreaterThan(0);
});
