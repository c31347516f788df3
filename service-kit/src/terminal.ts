import { escapeControls } from './escape-controls.ts';

/** As of a process that the signal SIGPIPE has ended: 128 + 13. */
export const EXIT_BROKEN_PIPE = 141;

/** Writes a line for whoever ran a command. What comes from outside cannot make two of it. */
export function print(line = ''): void {
  process.stdout.write(`${escapeControls(line)}\n`);
}

/** Writes a text of our own, of any number of lines. */
export function printText(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Says in one line what went wrong, apart from the output. */
export function printError(line: string): void {
  process.stderr.write(`${escapeControls(line)}\n`);
}

/**
 * Lets a command end quietly when nobody reads its output any more, as in `npm run audit | head -1`.
 *
 * @param end called once. Default: the process ends at once, with 141
 */
export function endWithoutReader(end: () => void = () => process.exit(EXIT_BROKEN_PIPE)): void {
  let hasEnded = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (!hasEnded) end();
      hasEnded = true;
    });
  }
}
