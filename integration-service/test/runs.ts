/** So many random runs, or as many times more as RUNS_FACTOR says: `npm run test:deep` has more of all. */
export function runs(count: number): number {
  return count * Number(process.env.RUNS_FACTOR || 1);
}
