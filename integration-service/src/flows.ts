/** The only file that names all flows. */
import { z } from 'zod';
import type { Flow } from './delivery/flow.ts';
import type { FlowMigrations } from './delivery/ledger/migrations.ts';
import type { FlowParts } from './flow-parts.ts';
import type { WelcomePackageSettings } from './welcome-package/flow.ts';

/** What flows can be set to, all together. */
export type FlowSettings = WelcomePackageSettings;

interface Registered {
  /** Loads the code of the flow, which is not needed while the flow is off. */
  load(): Promise<{ createFlow(settings: FlowSettings, parts: FlowParts): Flow }>;
  /** Of tables of its own. Default: it has none. */
  migrations?: FlowMigrations;
  /** It needs nothing of a system but a list and a POST. Default: no. */
  worksWithOwnSystems?: boolean;
  /** The paths of its routes: while it is off, they say so. Default: it has none. */
  paths?: readonly string[];
}

const FLOWS = {
  'welcome-package': {
    load: () => import('./welcome-package/flow.ts'),
    worksWithOwnSystems: true,
    paths: ['/webhooks/customers'],
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

/** `FLOWS`: names with commas between them. */
export const flowsSchema = z.string().transform((list, context): FlowName[] => {
  const given = new Set(list.split(',').map((name) => name.trim()));
  const names = z.array(z.enum(FLOW_NAMES)).safeParse([...given]);
  if (names.success) return names.data;
  context.addIssue(`must be some of ${FLOW_NAMES.join(',')}, with commas between them`);
  return z.NEVER;
});

/**
 * Which flows are on if `FLOWS` says nothing: all, as long as both systems are our mocks. With a system of
 * the user's own, only those that every system can take part in.
 */
export function flowsByDefault(hasOwnSystem: boolean): FlowName[] {
  return FLOW_NAMES.filter((name) => !hasOwnSystem || registered[name].worksWithOwnSystems);
}

/** The paths of the flows that are not among these, and the name of the flow of each. */
export function pathsOfOthers(on: readonly string[]): [path: string, flow: string][] {
  return FLOW_NAMES.filter((name) => !on.includes(name)).flatMap((name) =>
    (registered[name].paths ?? []).map((path): [string, string] => [path, name]),
  );
}

/** The flows that are switched on. */
export async function createFlows(
  settings: FlowSettings & { flows: FlowName[] },
  parts: FlowParts,
): Promise<Flow[]> {
  const loaded = await Promise.all(settings.flows.map((name) => registered[name].load()));
  return loaded.map(({ createFlow }) => createFlow(settings, parts));
}
