/**
 * Creates a pseudo-random generator of numbers from 0 to below 1, the same for the same seed (mulberry32,
 * seeded with a hash of the text).
 */
export function createRandom(seed: string): () => number {
  let state = 2_166_136_261;
  for (const char of seed) state = Math.imul(state ^ (char.codePointAt(0) as number), 16_777_619);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number from `min` to `max`. */
export function wholeNumberFrom(random: () => number, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1));
}
