import { setImmediate } from 'node:timers/promises';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

let stop: ((reason: string) => void) | undefined;

/**
 * Calls `listener` at every stop signal from now on, and when a parent process with an IPC channel to this
 * one is gone. Replaces the listener of an earlier call.
 */
export function onStopSignal(listener: (reason: string) => void): void {
  if (!stop) {
    for (const signal of SIGNALS) process.on(signal, () => stop?.(signal));
    process.on('disconnect', () => stop?.('the parent process is gone'));
  }
  stop = listener;
}

/**
 * Loads the modules of a service, which takes most of its start time. A stop signal meanwhile ends the
 * process with 0, because nothing has to be stopped yet. To be active that early, this module imports no
 * other module of the project.
 */
export async function load<Modules>(importModules: () => Promise<Modules>): Promise<Modules> {
  onStopSignal(() => process.exit(0));
  const modules = await importModules();
  // Node handles no signal while it loads modules; it does now, before anything begins.
  await setImmediate();
  return modules;
}
