import { KILL_POINTS } from '../kill-point.ts';
import type { Proof, Tools } from '../proof.ts';
import { type Crm, openEventCrm, openPolledCrm } from './crm.ts';
import type { Fault, InventoryKind } from './inventory.ts';
import { createInventory, FAULTS, INVENTORY_KINDS } from './inventory.ts';
import { openRabbitmq } from './rabbitmq.ts';
import { openWebhooks } from './webhooks.ts';

/** Two faults are enough: events enter the same ledger as polled customers, which meet all faults. */
const events = { faults: ['none', 'drops'], killPoints: [] };

/** Each customer of a CRM gets one package from an inventory. */
export const welcomePackage: Proof = {
  flow: 'welcome-package',
  description: `Starts the real integration-service, kills it with SIGKILL, and counts packages: before and after each
step of a delivery and at random times, under each kind of fault of the inventory, with an inventory
that honours idempotency keys and one that does not. Where a real crm-api sends events instead of being
polled, also cuts connections on their way, sends webhooks twice and restarts the broker.`,
  nouns: { record: 'customer', target: 'inventory', effects: 'packages', restarted: 'broker' },
  sources: [
    { name: 'poll', label: 'at random times', killPoints: KILL_POINTS, faults: FAULTS },
    { ...events, name: 'webhook', label: 'events by webhook' },
    { ...events, name: 'rabbitmq', label: 'events by RabbitMQ', needsDocker: true },
  ],
  targetKinds: INVENTORY_KINDS,

  async open({ source, fault, targetKind }, tools) {
    const inventory = tools.cleanUp.use(
      await createInventory(targetKind as InventoryKind, fault as Fault, tools),
    );
    const { serviceEnv, create, disturbances, problems } = await openCrm(source.name, tools);
    const { effects, arm, firstCallAfter, idle } = inventory;
    return {
      envOf: (process) => ({ INVENTORY_API_URL: inventory.urlFor(process), ...serviceEnv }),
      ...{ create, disturbances, problems, effects, arm, firstCallAfter, idle },
    };
  },
};

async function openCrm(source: string, tools: Tools): Promise<Crm> {
  if (source === 'webhook') return openEventCrm(await openWebhooks(tools), tools);
  if (source === 'rabbitmq') return openEventCrm(await openRabbitmq(tools), tools);
  return openPolledCrm(tools);
}
