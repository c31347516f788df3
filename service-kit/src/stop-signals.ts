import { setImmediate } from 'node:timers/promises';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

let stop: ((reason: string) => void) | undefined;

/**
 * From now on, calls `listener` at every signal to stop, and when a parent process with a channel to this
 * one is gone, in place of what an earlier call named.
 */
export function onStopSignal(listener: (reason: string) => void): void {
  if (!stop) {
    for (const signal of SIGNALS) process.on(signal, () => stop?.(signal));
    process.on('disconnect', () => stop?.('the parent process is gone'));
  }
  stop = listener;
}

/**
 * Loads the modules of a service, which takes most of its start. A signal to stop meanwhile ends the
 * process with 0: there is nothing yet that would have to stop. For that, this module needs no other.
 */
export async function load<Modules>(importModules: () => Promise<Modules>): Promise<Modules> {
  onStopSignal(() => process.exit(0));
  const modules = await importModules();
  // Node hears of no signal while it loads: it does now, before anything begins.
  await setImmediate();
  return modules;
}
