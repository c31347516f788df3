const PAGE = 1_000;

/**
 * Everything that is found by a query in pages, each small, so that others get their turn in between.
 *
 * @param read reads up to `limit` rows that come after the last row of the page before
 */
export async function* allOf<Row>(
  read: (limit: number, last: Row | undefined) => Promise<Row[]>,
): AsyncGenerator<Row> {
  for (let last: Row | undefined; ; ) {
    const rows = await read(PAGE, last);
    yield* rows;
    last = rows.at(-1);
    if (rows.length < PAGE) return;
  }
}
