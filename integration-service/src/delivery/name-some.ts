/** The most names that a message lists. */
export const MOST_NAMED = 3;

/** The first names of a list, for a message about all of them: `a, b, c and 9 more`. */
export function nameSome(names: readonly string[], count = names.length): string {
  const first = names.slice(0, MOST_NAMED);
  const more = count - first.length;
  return first.join(', ') + (more > 0 ? ` and ${more} more` : '');
}
