import { type Kysely, type RawBuilder, sql } from 'kysely';
import { rowsOf } from './rows.ts';

/**
 * The sequence numbers of all deliveries of these lanes, in every flow, as a subselect. It uses the two
 * indexes that find lanes: `deliveries_of_lane`, and for each flow that of its keys, because most deliveries
 * are alone in their lane, with its name as their key.
 */
export function sequencesOfLanes(
  db: Kysely<unknown>,
  lanes: readonly string[],
): RawBuilder<unknown> {
  const rows = rowsOf(
    db,
    lanes.map((lane) => [lane]),
  );
  return sql`(
    with recursive each_flow (flow) as (
      select min(flow) from deliveries
      union all
      select (select min(flow) from deliveries where flow > each_flow.flow) from each_flow
      where flow is not null),
    wanted (lane) as (select value->>0 from ${rows})
    select found.sequence from wanted join deliveries as found on found.lane = wanted.lane
    where found.lane != found.key
    union all
    select found.sequence from wanted cross join each_flow
      join deliveries as found on found.flow = each_flow.flow and found.key = wanted.lane
    where found.lane = wanted.lane)`;
}
