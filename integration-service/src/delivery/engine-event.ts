import type { Claim, Item, Transition } from './delivery.ts';
import type { IngestCounts } from './ledger/ledger.ts';
import type { Outcome } from './outcome.ts';

/** What one look-up says about an attempt of unknown outcome. */
export const VERDICTS = ['found', 'not_found', 'unreadable'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** The result of a claim: of an attempt, of a look-up, or of a claim that was not used. */
export interface Result {
  claim: Claim;
  transition: Transition;
  outcome?: Outcome | undefined;
  verdict?: Verdict | undefined;
  /** The delivery has a successor, and so is superseded instead of pending, dead or held. */
  isSuperseded?: boolean;
}

/**
 * A step of the engine. Metrics, the log and the proof listen to it; a listener that ends the process shows
 * what a crash there does. Before each write to the ledger comes an event in `…ing`, after it one in `…ed`. A
 * call is `sending` right before its first byte, `sent` in the next turn of the event loop, and `received`
 * when it has ended.
 */
export type EngineEvent = { flow: string } & (
  | { kind: 'ingesting' }
  | { kind: 'ingested'; items: readonly Item[]; counts: IngestCounts }
  | { kind: 'claiming' }
  | { kind: 'claimed'; claims: readonly Claim[] }
  | { kind: 'sending' | 'sent'; claims: readonly Claim[] }
  | { kind: 'received'; claims: readonly Claim[]; outcomes: readonly Outcome[] }
  | { kind: 'committing' | 'committed'; results: readonly Result[] }
);

export type OnEvent = (event: EngineEvent) => void;
