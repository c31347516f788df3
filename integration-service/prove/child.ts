/**
 * The real service with a built-in crash: `child.ts [<crash as JSON>]`. All other configuration comes from
 * the environment, as usual. Needs an IPC channel to its parent, and does not outlive it.
 */
import { closeSync, openSync } from 'node:fs';
import { parseOrExit } from 'service-kit/run';
import { parseConfig } from '../src/config.ts';
import type { OnEvent } from '../src/delivery/engine-event.ts';
import { runService } from '../src/service.ts';
import type { Crash } from './child-process.ts';

const crash: Crash | undefined = JSON.parse(process.argv[2] ?? 'null') ?? undefined;

/** Kills without draining: the proof examines what a crash leaves behind. */
const killMyself = () => process.kill(process.pid, 'SIGKILL');
process.on('disconnect', killMyself);
if (!process.connected) killMyself();

function createCrash({ step, nth, ticket }: Crash): OnEvent {
  let left = nth;
  return ({ kind }) => {
    if (kind !== step) return;
    left -= 1;
    if (left === 0 && isFirstToTake(ticket)) killMyself();
  };
}

/** Of several processes, only one gets the ticket. */
function isFirstToTake(ticket: string): boolean {
  try {
    closeSync(openSync(ticket, 'wx'));
    return true;
  } catch {
    return false;
  }
}

await runService(
  parseOrExit('integration-service', () => parseConfig(process.env)),
  crash && createCrash(crash),
);
