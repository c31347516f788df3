import type { Logger } from 'service-kit/logger';
import { createRateLimitedLog } from 'service-kit/rate-limited-log';
import { z } from 'zod';
import { findIn } from '../delivery/audit/compare.ts';
import type { Claim } from '../delivery/delivery.ts';
import { idempotencyKey } from '../delivery/idempotency-key.ts';
import type { Call, Sent, Target } from '../delivery/target.ts';
import { INVENTORY, type InventoryClient } from '../systems/inventory/client.ts';

/** The target may still be at work when its answer is given up, and commit late: hence the last wait. */
const LOOK_UP_AFTER_MS = [500, 2_000, 8_000];

const payloadSchema = z.object({ customer_id: z.string() });

/** The inventory as the target of welcome packages. It may ignore idempotency keys. */
export function createInventoryTarget(options: {
  inventory: InventoryClient;
  log: Logger;
}): Target & Required<Pick<Target, 'lookUp' | 'list'>> {
  const { inventory, log } = options;
  const logLimited = createRateLimitedLog(log);

  async function request(claim: Claim, call: Call) {
    const customerId = customerIdOf(claim);
    logLimited(
      'package requests to create',
      `Creating package request for customer ID: ${customerId}`,
    );
    const outcome = await inventory.request(
      {
        body: claim.payload,
        idempotencyKey: idempotencyKey(claim.flow, claim.key),
        customerId: claim.key,
      },
      call,
    );
    if (outcome.kind === 'delivered') {
      logLimited(
        'package requests successfully created',
        `Successfully created package request for customer ID: ${customerId}`,
      );
    } else {
      log.error(
        `Failed to create package request for customer ID ${customerId}: ${outcome.reason}`,
      );
    }
    return outcome;
  }

  async function* holdings(which: Parameters<InventoryClient['list']>[0]) {
    for await (const { customerId, requestId } of inventory.list(which)) {
      yield { identity: customerId, targetId: requestId, content: undefined };
    }
  }

  return {
    name: INVENTORY,
    isRepeatable: false,
    lookUpAfterMs: LOOK_UP_AFTER_MS,

    async send(batch, call): Promise<Sent> {
      return { outcomes: await Promise.all(batch.map((claim) => request(claim, call))) };
    },

    async lookUp(batch, signal) {
      const [first] = batch;
      const only = first && batch.length === 1 ? customerIdOf(first) : undefined;
      return await findIn(holdings({ only, signal }), batch);
    },

    list: (signal) => holdings({ signal }),
  };
}

/** As the CRM writes it. */
function customerIdOf({ payload }: Claim): string {
  return payloadSchema.parse(JSON.parse(payload)).customer_id;
}
