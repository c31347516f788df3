import type { Kill, SystemStep } from '../kill-point.ts';
import type { Systems } from '../proof.ts';

/** Sees the calls that processes of the service make or answer, and kills one of them at a step. */
export interface Watch extends Pick<Systems, 'arm' | 'firstCallAfter'> {
  /** A process called the target. */
  called(by: number): void;
  /** A call of a process reached a step. */
  reach(step: SystemStep, by: number): void;
}

/** @param kill kills the process with this number */
export function createWatch(kill: (process: number) => void): Watch {
  const calls: { by: number; at: number }[] = [];
  let armed: (Kill & { fromProcess: number }) | undefined;
  return {
    called: (by) => void calls.push({ by, at: performance.now() }),
    firstCallAfter: (time, except) => calls.find(({ by, at }) => at >= time && by !== except)?.at,
    arm(kill, fromProcess) {
      armed = { ...kill, fromProcess };
    },
    reach(step, by) {
      if (armed?.step !== step || by < armed.fromProcess) return;
      armed.nth -= 1;
      if (armed.nth === 0) kill(by);
    },
  };
}
