/**
 * `node --import service-kit/dot-env`: sets the variables of the project's `.env` that the environment
 * does not have. An empty variable in the environment counts as present. Exits with 78 if the file cannot
 * be read or parsed. Does nothing if there is no file.
 */
import { readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { parseEnvironmentFile } from './environment-file.ts';
import { EXIT_CONFIG } from './run.ts';

// A thread inherits the environment and loads this module again.
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
    // A folder named `.env` is a Python virtual environment; Compose ignores it, too.
    if (code === 'ENOENT' || code === 'EISDIR') return '';
    return exit([`cannot be read: ${message}`]);
  }
}

function exit(problems: string[]): never {
  process.stderr.write(`${problems.map((problem) => `.env ${problem}`).join('\n')}\n`);
  process.exit(EXIT_CONFIG);
}
