import { hash } from 'node:crypto';

/** Creates a pseudo-random generator of numbers from 0 to below 1, the same for the same seed. */
export function createRandom(seed: string): () => number {
  let calls = 0;
  return () => hash('sha256', `${seed} ${calls++}`, 'buffer').readUInt32LE() / 2 ** 32;
}

/** A whole number from `min` to `max`. */
export function wholeNumberFrom(random: () => number, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1));
}
