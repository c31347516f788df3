import type { Logger } from 'service-kit/logger';
import type { ClocksAndRandom } from './delivery/clocks.ts';
import type { Pause } from './delivery/dispatch/pauses.ts';
import type { Ledger } from './delivery/ledger/ledger.ts';
import type { HttpClient } from './http/client.ts';

/** What the service gives to a flow that it builds. */
export interface FlowParts extends ClocksAndRandom {
  http: HttpClient;
  log: Logger;
  /** For tables of the flow's own, in the ledger's database, and to correct deliveries. */
  ledger: Pick<
    Ledger,
    | 'hasOneWriter'
    | 'read'
    | 'within'
    | 'list'
    | 'endedLanes'
    | 'sendAgain'
    | 'giveUp'
    | 'takePollLease'
    | 'endPollLease'
  >;
  /**
   * The pause of a system, one for all flows that call it.
   *
   * @param system its name for people; the ledger and metrics have it in lower case
   */
  pauseOf(system: string): Pause;
}
