import type { z } from 'zod';
import { variablesOf } from './environment.ts';
import { escapeControls } from './escape-controls.ts';
import type { Logger } from './logger.ts';

/** An unknown name in the environment, and the known variable that it resembles. */
export interface Misspelt {
  name: string;
  meant: string;
}

/** Maximum number of missing, extra, wrong or swapped letters. */
const MAX_MISTAKES = 2;

/**
 * Finds names in the environment that resemble those of a schema: `ADMIN_TOKN`, `admin_token`. Warn of
 * them, do not refuse them: other programs' variables may be similar by chance.
 */
export function findMisspelt(schema: z.ZodObject, env: NodeJS.ProcessEnv): Misspelt[] {
  const known = variablesOf(schema).flatMap(({ names }) => names);
  return Object.keys(env).flatMap((name) => {
    if (!env[name]?.trim() || known.includes(name)) return [];
    const [nearest] = known
      .map((meant) => ({ meant, mistakes: countMistakes(name.toUpperCase(), meant) }))
      .toSorted((a, b) => a.mistakes - b.mistakes);
    return nearest && nearest.mistakes <= MAX_MISTAKES ? [{ name, meant: nearest.meant }] : [];
  });
}

/** The sentence for the person who set the variable. */
export function describeMisspelt({ name, meant }: Misspelt): string {
  return `${escapeControls(name)} is not known: did you mean ${meant}?`;
}

/** Logs one warning per misspelt name. */
export function warnOfMisspelt(log: Logger, misspelt: readonly Misspelt[]): void {
  for (const each of misspelt) log.warn(describeMisspelt(each));
}

/**
 * The Damerau-Levenshtein distance of two names; Infinity if their lengths alone differ by more than the
 * limit.
 */
function countMistakes(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MAX_MISTAKES) return Number.POSITIVE_INFINITY;
  let previous: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next[j] = Math.min(
        (next[j - 1] as number) + 1,
        (row[j] as number) + 1,
        (row[j - 1] as number) + (same ? 0 : 1),
        swapped ? (previous[j - 2] as number) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    previous = row;
    row = next;
  }
  return row[b.length] as number;
}
