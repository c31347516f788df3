import { randomUUID } from 'node:crypto';
import type { Disturbance, Systems, Tools } from '../proof.ts';
import { startCrmApi } from '../systems/crm-api.ts';
import { answerJson, createStandIn } from '../systems/stand-in.ts';

/** A CRM, and the way on which the service gets its customers. */
export interface Crm extends Pick<Systems, 'create' | 'disturbances' | 'problems'> {
  /** The environment with which integration-service gets customers. */
  serviceEnv: Record<string, string>;
}

/** The way of events from crm-api to the service, with the means to disturb it. */
export interface EventRoute {
  /** The environment with which crm-api sends events. */
  crmEnv: Record<string, string>;
  /** The environment with which integration-service receives events. */
  serviceEnv: Record<string, string>;
  disturbances: Disturbance[];
}

const person = (number: number) => ({
  name: `Customer ${number}`,
  email: `customer-${number}@example.com`,
});

/** A CRM that offers only `GET /customers`. */
export async function openPolledCrm({ cleanUp }: Tools): Promise<Crm> {
  const customers: { id: string; name: string; email: string; created_at: string }[] = [];
  const server = cleanUp.use(
    await createStandIn(async (_request, response) => answerJson(response, 200, customers)),
  );
  return {
    serviceEnv: { CRM_API_URL: `${server.origin}/customers` },
    async create(count) {
      const ids = Array.from({ length: count }, () => randomUUID());
      const created_at = new Date().toISOString();
      for (const id of ids) customers.push({ id, ...person(customers.length + 1), created_at });
      return ids;
    },
    disturbances: [],
    problems: () => [],
  };
}

/**
 * A real crm-api, in a process that is never killed: its customers and its events are in its memory. It tells the
 * service of customers by events alone: the list that the service polls stays empty. A customer counts when its
 * creation was answered with 201.
 */
export async function openEventCrm(route: EventRoute, tools: Tools): Promise<Crm> {
  const { signal } = tools;
  const list = await openPolledCrm(tools);
  const { url, child } = await startCrmApi(tools, route.crmEnv);
  let asked = 0;

  async function createOne(): Promise<string> {
    asked += 1;
    const body = JSON.stringify(person(asked));
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}/customers`, { method: 'POST', headers, body, signal });
    if (response.status !== 201) throw new Error(`POST ${url}/customers: ${response.status}`);
    return ((await response.json()) as { id: string }).id;
  }

  return {
    // The steps at which the service is killed must be reached by events alone.
    serviceEnv: { ...list.serviceEnv, POLLING_INTERVAL_SECONDS: '3600', ...route.serviceEnv },
    create: (count) => Array.fromAsync({ length: count }, createOne),
    disturbances: route.disturbances,
    problems: () => (child.end ? [`crm-api ended by itself: ${child.logFile}`] : []),
  };
}
