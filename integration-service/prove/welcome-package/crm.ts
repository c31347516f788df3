import { randomUUID } from 'node:crypto';
import { answerJson, createStandIn } from '../systems/stand-in.ts';

/** A CRM that offers only `GET /customers`. */
export interface Crm {
  url: string;
  /** The ids of all customers so far. */
  customerIds: string[];
  add(count: number): void;
  close(): void;
}

/** @param onListed called after each list of customers */
export async function createCrm({ onListed }: { onListed?: (crm: Crm) => void }): Promise<Crm> {
  const customers: { id: string; name: string; email: string; created_at: string }[] = [];
  const server = await createStandIn(async (_request, response) => {
    answerJson(response, 200, customers);
    onListed?.(crm);
  });
  const crm: Crm = {
    url: `${server.origin}/customers`,
    get customerIds() {
      return customers.map(({ id }) => id);
    },
    add(count) {
      for (let i = 0; i < count; i++) {
        const name = `Customer ${customers.length + 1}`;
        const email = `customer-${customers.length + 1}@example.com`;
        customers.push({ id: randomUUID(), name, email, created_at: new Date().toISOString() });
      }
    },
    close: server.close,
  };
  return crm;
}
