/**
 * What the inventory does to the first request for a customer; it handles later ones normally.
 * - `none`: stores and answers 201
 * - `drops`: stores, then resets the connection
 * - `hangs`: never answers; stores at once or, every second time, after the client has given up
 * - `500`: stores, then answers 500
 * - `502`: answers 502 and stores nothing
 * - `429`: answers 429 with `Retry-After: 1` and stores nothing
 * - `slow`: stores after a while and answers later still, within the client's time-out. It stores even if
 *   the client is gone by then
 * - `down`: the inventory has stopped: nothing listens, connections are refused
 */
export const FAULTS = ['none', 'drops', 'hangs', '500', '502', '429', 'slow', 'down'] as const;
export type Fault = (typeof FAULTS)[number];

/**
 * - `keyed`: honours `Idempotency-Key` and `?customer_id=`
 * - `plain`: supports neither; it lists everything, and each request makes another package
 */
export const INVENTORY_KINDS = ['keyed', 'plain'] as const;
export type InventoryKind = (typeof INVENTORY_KINDS)[number];
