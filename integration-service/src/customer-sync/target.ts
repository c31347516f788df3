import type { Claim } from '../delivery/delivery.ts';
import type { Call, Holding, Sent, Target } from '../delivery/target.ts';
import type { CustomerRecords } from '../systems/crm/customer-records.ts';
import { versionOf } from './item.ts';

/**
 * The CRM as the target of the shop's customers. A version guards each customer, also one that was deleted, so
 * that a request can come again, late and in any order.
 */
export function createCrmTarget(crm: CustomerRecords): Target & Required<Pick<Target, 'list'>> {
  const attempt = ({ lane, key, payload, operation }: Claim, call: Call) =>
    operation === 'delete'
      ? crm.remove(lane, versionOf(key), call)
      : crm.put(lane, versionOf(key), payload, call);

  return {
    name: 'CRM',
    isRepeatable: true,
    lookUpAfterMs: [],

    async send(batch, call): Promise<Sent> {
      return { outcomes: await Promise.all(batch.map((claim) => attempt(claim, call))) };
    },

    async *list(signal): AsyncIterable<Holding> {
      const reading = await crm.read({ signal });
      if (!reading) return;
      for await (const { id, content } of reading.records) {
        yield { identity: id, targetId: id, content };
      }
    },
  };
}
