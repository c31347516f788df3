import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { examplesOf, mask, PAGES, placeOf } from '../pages.ts';
import { createProject } from './project.ts';

// The default interval, as users have it: the log says how long the service waits.
const { compose, run, packages } = await createProject({ POLLING_INTERVAL_SECONDS: '' });
/** A page may use files that another page left. */
const folder = mkdtempSync(join(tmpdir(), 'pages-'));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  await compose('up', '--build', '--wait');
});

const examples = PAGES.flatMap(examplesOf).filter((each) => placeOf(each) === 'compose');

it.each(examples.map((each) => [each.page, each.script, each.answer] as const))(
  '%s: %s',
  async (_, script, answer) => {
    const [customer = '<none>'] = await packages();
    const answered = async () => mask(await run(script.replace('<customer id>', customer), folder));
    if (!answer) await answered();
    else if (answer.language === 'json') {
      const shown = JSON.parse(mask(answer.text));
      await expect
        .poll(async () => JSON.parse(await answered()), { timeout: 60_000 })
        .toEqual(shown);
    } else {
      for (const line of mask(answer.text).split('\n')) {
        await expect.poll(answered, { timeout: 60_000 }).toContain(line);
      }
    }
  },
);
