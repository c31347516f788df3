import { escapeControls } from './escape-controls.ts';

/** The exit code of a process that SIGPIPE has ended: 128 + 13. */
export const EXIT_BROKEN_PIPE = 141;

/** Prints one line for the user of a command. Text from outside cannot break it into two. */
export function print(line = ''): void {
  process.stdout.write(`${escapeControls(line)}\n`);
}

/** Prints a text of our own, which may have several lines. */
export function printText(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Prints an error in one line, to standard error. */
export function printError(line: string): void {
  process.stderr.write(`${escapeControls(line)}\n`);
}

/**
 * Lets a command end quietly when its output is no longer read, as in `npm run audit | head -1`.
 *
 * @param end called once. Default: ends the process at once, with 141
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
