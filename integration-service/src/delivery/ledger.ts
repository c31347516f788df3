/**
 * What has been delivered. Its delivered keys are the "processed-ID set": a key in it is never sent
 * again.
 */
export interface Ledger {
  /** Of these keys, those not delivered yet, each once, in their order. */
  undelivered(keys: string[]): Promise<string[]>;
  /** Remembers that the target has taken what belongs to this key. */
  markDelivered(key: string): Promise<void>;
}

/** A ledger in memory: a restart of the process forgets it. */
export function createMemoryLedger(delivered = new Set<string>()): Ledger {
  return {
    async undelivered(keys) {
      return [...new Set(keys)].filter((key) => !delivered.has(key));
    },
    async markDelivered(key) {
      delivered.add(key);
    },
  };
}
