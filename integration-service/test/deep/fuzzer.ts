import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../end-to-end/processes.ts';

const PACKAGES = ['schemathesis==4.32.5', 'hypothesis==6.170.17'];
const VENV = `${ROOT}node_modules/.cache/${PACKAGES[0]}`;

/** Unknown query parameters are ignored, as in the original. OpenAPI cannot express that. */
const CONFIG = '[generation]\nallow-extra-parameters = false\n';

const runFile = promisify(execFile);

/**
 * The path of the Schemathesis command, installed from PyPI into its own environment on first use;
 * `undefined` if there is no Python.
 *
 * @throws if there is Python but the installation fails
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

/**
 * Runs all checks of Schemathesis on the API whose document is at `url`; returns the report and whether
 * they passed.
 */
export async function fuzz(
  command: string,
  url: string,
  headers: Record<string, string>,
): Promise<{ passed: boolean; report: string }> {
  // Schemathesis leaves files in its working folder.
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
