import { describe, expect, it } from 'vitest';
import { startService } from './processes.ts';

type Stored = { id: string; customer_id: string };

const post = (url: string, body: object) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
const list = async (url: string) => (await (await fetch(url)).json()) as Stored[];

/** The three processes, with a short polling interval. */
async function startTrio() {
  const [crm, inventory] = await Promise.all([
    startService('crm-api'),
    startService('inventory-api'),
  ]);
  const customersUrl = `${crm.url}/customers`;
  const requestsUrl = `${inventory.url}/package-requests`;
  const service = await startService('integration-service', {
    CRM_API_URL: customersUrl,
    INVENTORY_API_URL: requestsUrl,
    POLLING_INTERVAL_SECONDS: '0.05',
    RETRY_DELAY_SECONDS: '0.01',
    // One log line per customer.
    LOG_LEVEL: 'debug',
  });
  let created = 0;
  const createCustomer = async (): Promise<string> => {
    const response = await post(customersUrl, { name: 'Jane', email: `jane${created++}@x.org` });
    return ((await response.json()) as Stored).id;
  };
  return { crm, inventory, service, customersUrl, requestsUrl, createCustomer };
}

describe('the three services', () => {
  it('turn a customer into one package request and become ready', async () => {
    const { crm, service, inventory, customersUrl, requestsUrl, createCustomer } =
      await startTrio();
    const id = await createCustomer();
    await service.until(/Successfully created package request/);
    await service.until(/Polling cycle started/, 5);
    expect(await list(requestsUrl)).toMatchObject([
      { customer_id: id, package_type: 'welcome_package', status: 'pending' },
    ]);
    expect(await list(customersUrl)).toMatchObject([{ id }]);
    expect(crm.lines.join('\n')).toContain(`CRM_API: Added new customer: Jane (${id})`);
    expect(inventory.lines.join('\n')).toContain(
      `INVENTORY_API: Created package request for customer: ${id}`,
    );
    // On a busy machine, the last poll may be more than three of these short intervals ago.
    await expect.poll(async () => (await fetch(`${service.url}/readyz`)).status).toBe(200);
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(metrics).toContain(
      'delivery_attempts_total{flow="welcome-package",outcome="delivered"} 1',
    );
  });

  it('turn thousands of customers that are created while they run into one package request each', async () => {
    const { service, customersUrl, requestsUrl, createCustomer } = await startTrio();
    const { CUSTOMERS = 2_000 } = process.env;
    const count = Number(CUSTOMERS);
    const ids: string[] = [];
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        while (ids.length < count) ids.push(await createCustomer());
      }),
    );
    await service.until(/Successfully created package request/, ids.length);
    const requested = (await list(requestsUrl)).map(({ customer_id }) => customer_id);
    expect(ids.length).toBeGreaterThanOrEqual(count);
    expect(requested.sort()).toEqual(ids.sort());
    expect(await list(customersUrl)).toHaveLength(ids.length);
  });

  it('lose and double nothing when the inventory is stopped for a while', async () => {
    const { inventory, service, requestsUrl, createCustomer } = await startTrio();
    const before = await createCustomer();
    await service.until(/Successfully created package request/);
    expect(await inventory.stop()).toBe(0);

    const during = [await createCustomer(), await createCustomer()];
    await service.until(/Failed to create package request for customer ID .*: .*ECONNREFUSED/, 5);
    await service.until(/The inventory failed 5 times in a row/);
    await startService('inventory-api', { INVENTORY_API_PORT: inventory.port });
    const after = await createCustomer();
    await service.until(/Successfully created package request/, 4);
    await service.until(/Polling cycle started/, 20);

    // A restarted inventory has forgotten the first request; the poller has not forgotten its customer.
    const requested = (await list(requestsUrl)).map(({ customer_id }) => customer_id);
    expect(requested.sort()).toEqual([...during, after].sort());
    expect(requested).not.toContain(before);
  });

  it('skip cycles while the CRM is stopped, say so, and go on when it is back', async () => {
    const { crm, service, requestsUrl, createCustomer } = await startTrio();
    await createCustomer();
    await service.until(/Successfully created package request/);
    expect(await crm.stop()).toBe(0);

    await service.until(/Failed to fetch customers \(Attempt 3\/3\): .*ECONNREFUSED/);
    await service.until(/Skipping processing cycle due to CRM API fetch failure\./, 3);
    expect((await fetch(`${service.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${service.url}/healthz`)).status).toBe(200);

    await startService('crm-api', { CRM_API_PORT: crm.port });
    await createCustomer();
    await service.until(/Successfully created package request/, 2);
    expect(await list(requestsUrl)).toHaveLength(2);
  });
});
