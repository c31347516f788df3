/** Whether this is `npm run test:deep`. */
export const isDeep = Number(process.env.RUNS_FACTOR || 1) > 1;

/** The number of random runs, multiplied by RUNS_FACTOR: `npm run test:deep` sets it. */
export function runs(count: number): number {
  return count * Number(process.env.RUNS_FACTOR || 1);
}
