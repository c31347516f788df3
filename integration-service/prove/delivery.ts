import { z } from 'zod';

/** What the service says of a delivery. */
export const deliverySchema = z.object({
  ...{ key: z.string(), lane: z.string(), status: z.string(), updated_at: z.string() },
  last_error: z.string().nullable(),
});
export type Delivery = z.output<typeof deliverySchema>;

/** How a delivery ends when all is right. */
const DONE: readonly string[] = ['delivered', 'superseded'];

/** Those of these deliveries that have not ended as they should. */
export function openOnes(deliveries: readonly Delivery[]): Delivery[] {
  return deliveries.filter(({ status }) => !DONE.includes(status));
}
