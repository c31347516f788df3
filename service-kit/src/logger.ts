import { type Logger, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { escapeControls } from './escape-controls.ts';

export type { Logger };

export interface LoggerOptions {
  /** The name of the service, a field of every JSON line. */
  name: string;
  level: string;
  /** Default: pretty on a terminal, JSON elsewhere. */
  format?: 'json' | 'pretty' | undefined;
}

/**
 * The log of a service on standard output, one line per event. JSON lines are collected and written
 * together at the end of the event loop's turn, which costs a busy service a fraction of one write per
 * line. They are also written when the process exits, so nothing is lost unless the process is killed in
 * that very turn.
 */
export function createLogger({ name, level, format }: LoggerOptions): Logger {
  const pretty = (format ?? (process.stdout.isTTY ? 'pretty' : 'json')) === 'pretty';
  const options = { name, level, timestamp: pino.stdTimeFunctions.isoTime };
  return pino(options, pretty ? createPrettyStream() : createTurnStream());
}

function createTurnStream() {
  const destination = pino.destination({ dest: 1, sync: true });
  let lines = '';
  const flushSync = () => {
    if (lines) destination.write(lines);
    lines = '';
  };
  beforeExit(flushSync);
  return {
    write(line: string): void {
      if (!lines) setImmediate(flushSync);
      // Pino escapes what JSON must not contain, but not everything that a terminal obeys.
      lines += escapeControls(line, '\n');
    },
    // Pino calls this after a fatal line.
    flushSync,
  };
}

const atExit: (() => void)[] = [];

/** One listener for all logs: of many, Node.js warns. */
function beforeExit(run: () => void): void {
  const isFirst = atExit.push(run) === 1;
  if (!isFirst) return;
  process.on('exit', () => {
    for (const each of atExit) each();
  });
}

function createPrettyStream() {
  const destination = pino.destination({ dest: 1, sync: true });
  const toText = prettyFactory({
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'name,pid,hostname',
    messageFormat: (log, key) => escapeControls(String(log[key] ?? '')),
  });
  return {
    write(line: string): void {
      // The formatter itself adds the remaining newlines and escape characters, for line ends and colours.
      destination.write(escapeControls(toText(line) ?? '', '\n\u001b'));
    },
  };
}
