/** Rows per statement: few, so that it ends soon and others get their turn. */
export const CHUNK = 500;

/** The items, as arrays of up to `size`; by default 500. */
export function* chunksOf<Item>(items: Iterable<Item>, size = CHUNK): Generator<Item[]> {
  let chunk: Item[] = [];
  for (const item of items) {
    chunk.push(item);
    if (chunk.length < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
