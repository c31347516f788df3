import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../end-to-end/processes.ts';

const PACKAGES = ['schemathesis==4.32.5', 'hypothesis==6.170.17'];
const VENV = `${ROOT}node_modules/.cache/${PACKAGES[0]}`;

/** Query parameters that mean nothing are ignored, as the original does; OpenAPI has no word for that. */
const CONFIG = '[generation]\nallow-extra-parameters = false\n';

const runFile = promisify(execFile);

/**
 * The command of Schemathesis, which is installed from PyPI on first use, in an environment of its own;
 * `undefined` without Python.
 *
 * @throws if there is Python, but nothing can be installed
 */
export async function findSchemathesis(): Promise<string | undefined> {
  const command = join(VENV, 'bin/schemathesis');
  if (existsSync(command)) return command;
  try {
    await runFile('python3', ['--version']);
  } catch {
    return undefined;
  }
  try {
    await runFile('python3', ['-m', 'venv', '--clear', VENV]);
    await runFile(join(VENV, 'bin/pip'), ['install', '--quiet', ...PACKAGES]);
  } catch (error) {
    await rm(VENV, { recursive: true, force: true });
    throw new Error(
      `Schemathesis cannot be installed. Where there is no internet, make it by hand: python3 -m venv ${VENV} && ${VENV}/bin/pip install ${PACKAGES.join(' ')}`,
      { cause: error },
    );
  }
  return command;
}

/** All checks of Schemathesis on the API whose document is at a URL; its report, and whether it found nothing. */
export async function fuzz(
  command: string,
  url: string,
  headers: Record<string, string>,
): Promise<{ passed: boolean; report: string }> {
  // It leaves files where it runs.
  const folder = await mkdtemp(join(tmpdir(), 'fuzz-'));
  const config = join(folder, 'schemathesis.toml');
  await writeFile(config, CONFIG);
  const lines = Object.entries(headers).map(([name, value]) => `--header=${name}: ${value}`);
  const limits = ['--seed=1', '--max-examples=40', '--request-timeout=20', '--workers=1'];
  const args = ['run', url, '--checks=all', '--continue-on-failure', ...limits, ...lines];
  try {
    const { stdout } = await runFile(command, ['--config-file', config, '--no-color', ...args], {
      cwd: folder,
      maxBuffer: 100_000_000,
    });
    return { passed: true, report: stdout };
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return { passed: false, report: `${stdout}${stderr}` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
