import { type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import { isoNow } from './iso-time.ts';

export type { Logger };

export interface LoggerOptions {
  /** The service, a field of every JSON line. */
  name: string;
  level: string;
  /** Default: pretty on a terminal, JSON elsewhere. */
  format?: 'json' | 'pretty' | undefined;
}

/**
 * The log of a service, on standard output, one line an event. JSON lines are written at the end of the
 * event loop's turn, together, which costs a busy service a fraction of a write for each; also when
 * the process ends, so that nothing is lost unless it is killed in that very turn.
 */
export function createLogger({ name, level, format }: LoggerOptions): Logger {
  const pretty = (format ?? (process.stdout.isTTY ? 'pretty' : 'json')) === 'pretty';
  const options = { name, level, timestamp: () => `,"time":"${isoNow()}"` };
  return pino(options, pretty ? createPrettyStream() : createTurnStream());
}

function createTurnStream() {
  const destination = pino.destination({ dest: 1, sync: true });
  let lines = '';
  const flushSync = () => {
    if (lines) destination.write(lines);
    lines = '';
  };
  process.on('exit', flushSync);
  return {
    write(line: string): void {
      if (!lines) setImmediate(flushSync);
      lines += line;
    },
    // For pino, after a fatal line.
    flushSync,
  };
}

function createPrettyStream() {
  return PinoPretty({
    sync: true,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'name,pid,hostname',
    messageFormat: (log, key) => escapeControls(String(log[key] ?? '')),
  });
}

/** A customer's name may hold line breaks and terminal codes: shown, not obeyed. */
function escapeControls(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (char) =>
    JSON.stringify(char) === `"${char}"`
      ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
      : JSON.stringify(char).slice(1, -1),
  );
}
