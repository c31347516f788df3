/** The only file that names all flows. */
import { group, parseEnvironment } from 'service-kit/environment';
import { z } from 'zod';
import type { Flow } from './delivery/flow.ts';
import type { FlowMigrations } from './delivery/ledger/migrations.ts';
import type { FlowParts } from './flow-parts.ts';
import { crmEnvironment, inventoryEnvironment } from './systems/environment.ts';
import { welcomePackageEnvironment } from './welcome-package/environment.ts';

interface Registered<Environment = z.ZodObject> {
  /** Its variables. They are known while it is off, too: each has a default or is optional. */
  environment: Environment;
  /** Of tables of its own. Default: it has none. */
  migrations?: FlowMigrations;
  /** It needs nothing of a system but a list and a POST. Default: no. */
  worksWithOwnSystems?: boolean;
  /** The paths of its routes: while it is off, they say so. Default: it has none. */
  paths?: readonly string[];
}

/** Creates a flow with the values of its own variables, and no others. */
export type CreateFlow = (parts: FlowParts) => Promise<Flow>;

/** @param load loads the code of the flow, which is not needed while the flow is off */
function register<Environment extends z.ZodObject>(
  flow: Registered<Environment>,
  load: () => Promise<{ createFlow: (settings: z.output<Environment>, parts: FlowParts) => Flow }>,
): Registered & { parse(env: NodeJS.ProcessEnv): CreateFlow } {
  return {
    ...flow,
    parse(env) {
      const settings = parseEnvironment(flow.environment, env);
      return async (parts) => (await load()).createFlow(settings, parts);
    },
  };
}

const FLOWS = {
  'welcome-package': register(
    {
      environment: welcomePackageEnvironment,
      worksWithOwnSystems: true,
      paths: ['/webhooks/customers'],
    },
    () => import('./welcome-package/flow.ts'),
  ),
};

export type FlowName = keyof typeof FLOWS;
export const FLOW_NAMES = Object.keys(FLOWS) as [FlowName, ...FlowName[]];

/** Registered whether or not a flow is switched on: else a ledger with all of them would look newer. */
export const FLOW_MIGRATIONS: FlowMigrations = Object.assign(
  {},
  ...FLOW_NAMES.map((name) => FLOWS[name].migrations),
);

/** Known whether or not a flow is switched on, too. */
export const FLOW_VARIABLES: z.ZodRawShape = Object.assign(
  {},
  ...FLOW_NAMES.map((name) => FLOWS[name].environment.shape),
);

const namesSchema = z.string().transform((list, context): FlowName[] => {
  const given = new Set(list.split(',').map((name) => name.trim()));
  const names = z.array(z.enum(FLOW_NAMES)).safeParse([...given]);
  if (names.success) return names.data;
  context.addIssue(`must be some of ${FLOW_NAMES.join(',')}, with commas between them`);
  return z.NEVER;
});

export const flowsEnvironment = group('Deliveries', {
  FLOWS: namesSchema
    .optional()
    .describe('The [flows](operations.md#words) that are on, with commas between them.')
    .meta({ example: FLOW_NAMES.join(',') }),
});

/**
 * The flows that are on. If `FLOWS` says nothing: all, as long as both systems are our mocks. With a system of
 * the user's own, only those that every system can take part in.
 *
 * @throws {EnvironmentError} with the problems of the first flow that has any
 */
export function parseFlows(env: NodeJS.ProcessEnv): Map<FlowName, CreateFlow> {
  const { FLOWS: named } = parseEnvironment(flowsEnvironment, env);
  const { CRM_API_URL } = parseEnvironment(crmEnvironment, env);
  const { INVENTORY_API_URL } = parseEnvironment(inventoryEnvironment, env);
  const isOurs = !(CRM_API_URL ?? INVENTORY_API_URL);
  const on = named ?? FLOW_NAMES.filter((name) => isOurs || FLOWS[name].worksWithOwnSystems);
  return new Map(on.map((name) => [name, FLOWS[name].parse(env)]));
}

/** The paths of the flows that are not among these, and the name of the flow of each. */
export function pathsOfOthers(on: readonly string[]): [path: string, flow: string][] {
  return FLOW_NAMES.filter((name) => !on.includes(name)).flatMap((name) =>
    (FLOWS[name].paths ?? []).map((path): [string, string] => [path, name]),
  );
}
