/**
 * The error's message in one line. A refused connection to a name with two addresses has no own message.
 */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && !error.message) {
    return error.errors.map((each: Error) => each.message).join(', ');
  }
  return error instanceof Error ? error.message || error.name : String(error);
}
