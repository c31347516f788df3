/** The way of events from a CRM to the service, with the means to disturb it. */
export interface EventSource extends AsyncDisposable {
  /** The environment with which crm-api sends events. */
  crmEnv: Record<string, string>;
  /** The environment with which integration-service receives events. */
  serviceEnv: Record<string, string>;
  /** The disturbances, carried out one after the other. Each needs incoming events. */
  disturbances: Disturbance[];
}

export interface Disturbance {
  kind: 'cut' | 'restart';
  /** Resolves when the disturbance has happened and whatever it stopped works again. */
  run(): Promise<void>;
}

export interface EventSourceOptions {
  /** The URLs on which processes of the service listen now. */
  serviceUrls: () => string[];
  /** Returns a number from 0 to below 1. */
  random: () => number;
  signal: AbortSignal;
}
