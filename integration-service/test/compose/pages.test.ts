import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { examplesOf, PAGES, placeOf } from '../pages.ts';
import { createProject } from './project.ts';

// The default interval, as users have it: the log says how long the service waits.
const { compose, run, packages } = await createProject({ POLLING_INTERVAL_SECONDS: '' });
/** A page may use files that another page left. */
const folder = mkdtempSync(join(tmpdir(), 'pages-'));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  await compose('up', '--build', '--wait');
});

/** The text with the parts masked that differ in every run. */
const mask = (text: string) =>
  text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f…-]+/g, '<id>')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z|\[\d\d:\d\d:\d\d\.\d{3}\]/g, '<time>')
    .replaceAll(/ +/g, ' ');

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
        .poll(async () => JSON.parse(await answered()), { timeout: 30_000 })
        .toEqual(shown);
    } else {
      for (const line of mask(answer.text).split('\n')) {
        await expect.poll(answered, { timeout: 30_000 }).toContain(line);
      }
    }
  },
);
