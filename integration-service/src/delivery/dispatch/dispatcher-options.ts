import type { Logger } from 'service-kit/logger';
import type { ClocksAndRandom } from '../clocks.ts';
import type { OnEvent } from '../engine-event.ts';
import type { Flow } from '../flow.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Gate } from './gate.ts';

/** What a dispatcher and its parts work with. */
export interface DispatcherOptions extends ClocksAndRandom {
  flow: Pick<Flow, 'name' | 'target' | 'policy' | 'adopt'>;
  ledger: Ledger;
  gate: Gate;
  log: Logger;
  /** Called at every step. */
  onEvent: OnEvent;
}
