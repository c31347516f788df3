/**
 * The real service with a built-in crash: `child.ts [<crash as JSON>]`. All other configuration comes from
 * the environment, as usual. Needs an IPC channel to its parent, and does not outlive it.
 */
import { closeSync, openSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { parseOrExit } from 'service-kit/run';
import { parseConfig } from '../src/config.ts';
import { runService } from '../src/service.ts';
import type { Crash } from './child-process.ts';

/** Kills without draining: the proof examines what a crash leaves behind. */
const killMyself = () => process.kill(process.pid, 'SIGKILL');
process.on('disconnect', killMyself);
if (!process.connected) killMyself();

const crash: Crash | undefined = process.argv[2] ? JSON.parse(process.argv[2]) : undefined;
const config = parseOrExit('integration-service', () => parseConfig(process.env));
let reached = 0;
await runService(config, ({ kind }) => {
  if (kind !== crash?.step) return;
  reached += 1;
  if (reached === crash.nth && isFirstToTake(crash.ticket)) killMyself();
});
// Otherwise, only a process that ends by itself would write it down.
flushCompileCache();

/** Of several processes, only one gets the ticket. */
function isFirstToTake(ticket: string): boolean {
  try {
    closeSync(openSync(ticket, 'wx'));
    return true;
  } catch {
    return false;
  }
}
