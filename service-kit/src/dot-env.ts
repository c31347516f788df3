/**
 * `node --import service-kit/dot-env`: takes the variables of the project's `.env` that the environment
 * does not have, also not as empty ones. Exits with 78 when the file cannot be read as one; without
 * the file, does nothing.
 */
import { readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { parseEnvironmentFile } from './environment-file.ts';
import { EXIT_CONFIG } from './run.ts';

// A thread has the environment of the program, and this module once more.
if (isMainThread) {
  const { values, problems } = parseEnvironmentFile(readFile());
  if (problems.length > 0) exit(problems);
  for (const [name, value] of Object.entries(values)) process.env[name] ??= value;
}

function readFile(): string {
  try {
    return readFileSync(new URL('../../.env', import.meta.url), 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // A folder of that name is a virtual environment of Python; Compose passes over it, too.
    if (code === 'ENOENT' || code === 'EISDIR') return '';
    return exit([`cannot be read: ${message}`]);
  }
}

function exit(problems: string[]): never {
  process.stderr.write(`${problems.map((problem) => `.env ${problem}`).join('\n')}\n`);
  process.exit(EXIT_CONFIG);
}
