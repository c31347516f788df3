/**
 * What a flow brings to its proof. The prover runs the service, kills it and counts; it knows no flow and no
 * system. A *record* must have one *effect* at the target, in the end and for ever.
 */
import type { Delivery } from './delivery.ts';
import type { Kill, KillPoint } from './kill-point.ts';
import type { ProvedLedger } from './ledger.ts';

export interface Proof {
  /** The name of the flow, as in `FLOWS`. */
  flow: string;
  /** What it does, for `--help`. */
  description: string;
  /** How the report calls them; `restarted` is what its disturbances start again. */
  nouns: { record: string; target: string; effects: string; restarted: string };
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
  /** It gets one of this many of the kills at random times, or of the disturbances, that are asked for. Default: 1. */
  weight?: number;
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
  /**
   * Kills all processes of the service, does something, and starts as many as share the ledger; resolves with the
   * number of the first of them when one listens.
   */
  restart: (meanwhile: () => Promise<void>) => Promise<number>;
  /** Resolves with the processes that listen, as soon as there is one; with none if none runs. */
  untilListening: () => Promise<ServiceProcess[]>;
  ledger: Pick<ProvedLedger, 'query' | 'backUp' | 'restore'>;
  /** Returns a number from 0 to below 1. */
  random: () => number;
  signal: AbortSignal;
}

/** A process of the service that listens. */
export interface ServiceProcess {
  /** From 0, in start order. */
  number: number;
  url: string;
}

/** The systems at both ends of a flow. */
export interface Systems {
  /** The environment of the process of the service with this number, from 0. */
  envOf(process: number): Record<string, string>;
  /**
   * Resolves with the ids of new records when the source has them. An id is the lane in the ledger. Where the
   * source is the service itself, they are fewer if no process runs, and none before one does.
   */
  create(count: number): Promise<string[]>;
  /** How many effects of a record the target has: one if all is right, for the systems to say how. */
  effects(id: string): number;
  /** How often a record was changed at the source, its creation included. Default: the proof counts no changes. */
  changes?(id: string): number;
  /**
   * Looks at both ends when nothing is under way; resolves with whether all is right. `effects` and `problems` say
   * then what was found. While something is wrong, it is asked again for some time, for a flow that compares its
   * ends from time to time. Default: there is nothing to look at.
   */
  examine?(deliveries: ReadonlyMap<string, Delivery[]>): Promise<boolean>;
  /**
   * Whether it is right that a record ends with these deliveries, although there is none, or some are neither
   * delivered nor superseded. Default: it never is.
   */
  mayEndWith?(id: string, deliveries: readonly Delivery[]): boolean;
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
  kind: 'cut' | 'restart' | 'restore';
  /** Resolves when it has happened, which may need a record that comes, and all works again. */
  run(): Promise<void>;
}
