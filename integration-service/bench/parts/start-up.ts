import type { BenchOptions, Figure } from '../figures.ts';
import { type Service, startService } from '../processes.ts';

/** From the start of a process until `/readyz` says that all works. */
export async function* benchStartUp({ runs }: BenchOptions): AsyncGenerator<Figure> {
  await using crm = await startService('crm-api');
  await using inventory = await startService('inventory-api');
  const env = {
    CRM_API_URL: `${crm.url}/customers`,
    INVENTORY_API_URL: `${inventory.url}/package-requests`,
    LEDGER_URL: 'sqlite::memory:',
  };
  for (const name of ['crm-api', 'inventory-api', 'integration-service'] satisfies Service[]) {
    const values = await Array.fromAsync({ length: runs }, async () => {
      const startedAt = performance.now();
      await using service = await startService(name, env);
      await service.untilReady();
      return performance.now() - startedAt;
    });
    yield { what: `${name}, start to ready`, unit: 'ms', values };
  }
}
