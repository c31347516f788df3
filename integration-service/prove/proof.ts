/**
 * What a flow brings to its proof. The prover runs the service, kills it and counts; it knows no flow and no
 * system. A *record* must have one *effect* at the target, in the end and for ever.
 */
import type { Kill, KillPoint } from './kill-point.ts';

export interface Proof {
  /** The name of the flow, as in `FLOWS`. */
  flow: string;
  /** What it does, for `--help`. */
  description: string;
  /** How the report calls them. */
  nouns: { record: string; target: string; effects: string };
  sources: readonly Source[];
  /** What the target supports, such as idempotency keys. */
  targetKinds: readonly string[];
  /** Opens the systems at both ends of the flow, for one stage. */
  open(setting: Setting, tools: Tools): Promise<Systems>;
}

/** A way for records to come to the service. */
export interface Source {
  /** Unique in the flow. */
  name: string;
  /** The row of its cells in the report, but for those that kill at a step. */
  label: string;
  /** Where the service is killed, in a cell for each. */
  killPoints: readonly KillPoint[];
  /** What the target does to some calls in its cells. */
  faults: readonly string[];
  needsDocker?: boolean;
}

/** The systems of an experiment. */
export interface Setting {
  proof: Proof;
  source: Source;
  fault: string;
  targetKind: string;
}

export interface Tools {
  /** Ends the systems with the stage. */
  cleanUp: AsyncDisposableStack;
  /** How long the service waits for an answer. */
  timeoutMs: number;
  /** For logs. */
  folder: string;
  /** The URLs at which processes of the service listen now. */
  serviceUrls: () => string[];
  /** Kills the process of the service with this number. */
  kill: (process: number) => void;
  /** Returns a number from 0 to below 1. */
  random: () => number;
  signal: AbortSignal;
}

/** The systems at both ends of a flow. */
export interface Systems {
  /** The environment of the process of the service with this number, from 0. */
  envOf(process: number): Record<string, string>;
  /** Resolves with the ids of new records when the source has them. An id is the lane in the ledger. */
  create(count: number): Promise<string[]>;
  /** How many effects of a record the target has. */
  effects(id: string): number;
  /** What can happen to records on their way, one after the other. Without any, the service is only killed. */
  disturbances: readonly Disturbance[];
  /**
   * Starts counting towards a kill, if it is at a step of the target. Only calls of processes from this number on
   * count, not requests that an earlier process left under way.
   */
  arm(kill: Kill, fromProcess: number): void;
  /** When the first call after `time` came that `except` did not make; by `performance.now()`. */
  firstCallAfter(time: number, except: number): number | undefined;
  /** Resolves when the target has finished all requests, also those that it serves late. */
  idle(): Promise<void>;
  /** What went wrong with the systems. */
  problems(): string[];
}

export interface Disturbance {
  kind: 'cut' | 'restart';
  /** Resolves when it has happened, which may need a record that comes, and all works again. */
  run(): Promise<void>;
}
