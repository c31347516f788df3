import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ROOT } from '../end-to-end/processes.ts';
import { createProject, execute } from './project.ts';

const { name, compose } = await createProject();

/** Containers, networks and volumes of the project. */
async function leftovers(): Promise<string[]> {
  const filter = ['--quiet', '--filter', `label=com.docker.compose.project=${name}`];
  const lists = [
    ['ps', '--all'],
    ['network', 'ls'],
    ['volume', 'ls'],
  ].map((list) => execute('docker', [...list, ...filter]));
  return (await Promise.all(lists)).map(({ stdout }) => stdout.trim());
}

it('removes everything by the command of the README, also what profiles have started', async () => {
  const [, command] =
    /^docker compose (--profile .* down .*)$/m.exec(readFileSync(`${ROOT}README.md`, 'utf8')) ?? [];
  const args = command?.split(' ').map((arg) => arg.replaceAll("'", '')) ?? [];
  const profiles = ['--profile', 'postgres', '--profile', 'rabbitmq'];
  await compose(...profiles, 'create', 'postgres', 'rabbitmq');
  expect((await leftovers()).every((each) => each !== '')).toBe(true);
  await compose(...args);
  expect(await leftovers()).toEqual(['', '', '']);
});
