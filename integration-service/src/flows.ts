/** The only file that names all flows. */
import { group } from 'service-kit/environment';
import { z } from 'zod';
import { customerSyncEnvironment } from './customer-sync/environment.ts';
import { customerSyncMigrations } from './customer-sync/migrations.ts';
import type { Flow } from './delivery/flow.ts';
import type { FlowMigrations } from './delivery/ledger/migrations.ts';
import type { FlowParts } from './flow-parts.ts';
import { crmEnvironment, inventoryEnvironment } from './systems/environment.ts';
import { welcomePackageEnvironment } from './welcome-package/environment.ts';

interface Registered {
  /** Its variables. They are known while it is off, too: each has a default or is optional. */
  environment: z.ZodObject;
  /** Loads the code of the flow, which is not needed while the flow is off. */
  load(): Promise<{ createFlow(settings: object, parts: FlowParts): Flow }>;
  /** Of tables of its own. Default: it has none. */
  migrations?: FlowMigrations;
  /** It needs nothing of a system but a list and a POST. Default: no. */
  worksWithOwnSystems?: boolean;
  /** The paths of its routes: while it is off, they say so. Default: it has none. */
  paths?: readonly string[];
}

const FLOWS = {
  'welcome-package': {
    environment: welcomePackageEnvironment,
    load: () => import('./welcome-package/flow.ts'),
    worksWithOwnSystems: true,
    paths: ['/webhooks/customers'],
  },
  'customer-sync': {
    environment: customerSyncEnvironment,
    load: () => import('./customer-sync/flow.ts'),
    migrations: customerSyncMigrations,
    paths: ['/api/customers', '/api/customers/:id', '/failed-requests'],
  },
} satisfies Record<string, Registered>;

export type FlowName = keyof typeof FLOWS;
export const FLOW_NAMES = Object.keys(FLOWS) as [FlowName, ...FlowName[]];
const registered: Record<FlowName, Registered> = FLOWS;

/** Registered whether or not a flow is switched on: else a ledger with all of them would look newer. */
export const FLOW_MIGRATIONS: FlowMigrations = Object.assign(
  {},
  ...FLOW_NAMES.map((name) => registered[name].migrations),
);

/** Known whether or not a flow is switched on, too. */
export const FLOW_VARIABLES: z.ZodRawShape = Object.assign(
  {},
  ...FLOW_NAMES.map((name) => registered[name].environment.shape),
);

const namesSchema = z.string().transform((list, context): FlowName[] => {
  const given = new Set(list.split(',').map((name) => name.trim()));
  const names = z.array(z.enum(FLOW_NAMES)).safeParse([...given]);
  if (names.success) return names.data;
  context.addIssue(`must be some of ${FLOW_NAMES.join(',')}, with commas between them`);
  return z.NEVER;
});

/** What decides which flows are on. */
export const flowsEnvironment = z.object({
  CRM_API_URL: crmEnvironment.shape.CRM_API_URL,
  INVENTORY_API_URL: inventoryEnvironment.shape.INVENTORY_API_URL,
  ...group('Deliveries', {
    FLOWS: namesSchema
      .optional()
      .describe('The [flows](operations.md#words) that are on, with commas between them.')
      .meta({ example: FLOW_NAMES.join(',') }),
  }).shape,
});

/**
 * The flows that are on. If `FLOWS` says nothing: all, as long as both systems are our mocks. With a system of
 * the user's own, only those that every system can take part in.
 */
export function flowsOf(values: z.output<typeof flowsEnvironment>): FlowName[] {
  const isOurs = !(values.CRM_API_URL ?? values.INVENTORY_API_URL);
  const suits = (name: FlowName) => isOurs || registered[name].worksWithOwnSystems;
  return values.FLOWS ?? FLOW_NAMES.filter(suits);
}

/** The paths of the flows that are not among these, and the name of the flow of each. */
export function pathsOfOthers(on: readonly string[]): [path: string, flow: string][] {
  return FLOW_NAMES.filter((name) => !on.includes(name)).flatMap((name) =>
    (registered[name].paths ?? []).map((path): [string, string] => [path, name]),
  );
}

/** The flows that are switched on. Each is created with the values of its own variables, and no others. */
export function createFlows(
  values: { flows: FlowName[] } & Record<string, unknown>,
  parts: FlowParts,
): Promise<Flow[]> {
  return Promise.all(
    values.flows.map(async (name) => {
      const { createFlow } = await registered[name].load();
      return createFlow(settingsOf(name, values), parts);
    }),
  );
}

/** The values of a flow's own variables. */
export function settingsOf(name: FlowName, values: Record<string, unknown>): object {
  const own = Object.keys(registered[name].environment.shape);
  return Object.fromEntries(own.map((key) => [key, values[key]]));
}
