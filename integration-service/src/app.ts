import { HttpError } from 'service-kit/errors';
import {
  createHttpService,
  type HttpService,
  type HttpServiceOptions,
} from 'service-kit/http-service';
import { type AdminGuardOptions, createAdminGuard } from './admin-guard.ts';
import type { Ledger } from './delivery/ledger/ledger.ts';
import { LedgerError } from './delivery/ledger/ledger-error.ts';
import { addDeliveryRoutes, DELIVERIES_TAG } from './delivery/routes/delivery-routes.ts';
import { addFlowRoutes, FLOWS_TAG } from './delivery/routes/flow-routes.ts';
import { ReadError } from './delivery/target.ts';
import type { OpenFlow } from './open-flow.ts';

export interface AppOptions
  extends AdminGuardOptions,
    Pick<HttpServiceOptions, 'log' | 'metrics' | 'checkReadiness' | 'serializerCompiler'> {
  ledger: Ledger;
  flows: readonly Pick<
    OpenFlow,
    'flow' | 'pollers' | 'blockedUntil' | 'dispatcher' | 'addRoutes' | 'tags'
  >[];
  /** Unix time in milliseconds. */
  now: () => number;
  /** The names of all flows, also of those that are off. Default: of those that are on. */
  flowNames?: readonly string[];
  /** The paths of flows that are off, and the name of the flow of each. Default: there are none. */
  pathsOff?: readonly [path: string, flow: string][];
}

/** The HTTP server of the service: deliveries, webhooks, health, metrics, docs. Does not listen yet. */
export async function buildApp(options: AppOptions): Promise<HttpService> {
  const { flows, pathsOff = [], adminToken } = options;
  const app = await createHttpService({
    ...options,
    title: 'Integration Service',
    description:
      'Keeps systems in step: each flow carries records to one system, and the ledger knows what became of them.',
    tags: [DELIVERIES_TAG, FLOWS_TAG, ...flows.flatMap(({ tags }) => tags)],
    handlerTimeoutMs: 15_000,
    toHttpError,
    ...(adminToken && { securitySchemes: { adminToken: { type: 'http', scheme: 'bearer' } } }),
  });
  const guarded = {
    guard: createAdminGuard(options),
    security: adminToken ? [{ adminToken: [] }] : [],
  };
  addDeliveryRoutes(app, { ...options, ...guarded });
  addFlowRoutes(app, { flows, ...guarded });
  for (const flow of flows) flow.addRoutes(app, guarded);
  for (const [path, flow] of pathsOff) {
    app.all(path, { schema: { hide: true } }, () => {
      throw new HttpError(404, `The flow ${flow} is off (FLOWS).`);
    });
  }
  return app;
}

/** An error of the ledger or of a target, as the client may see it. */
function toHttpError(error: Error): HttpError | undefined {
  if (error instanceof LedgerError) return new HttpError(503, error.message);
  if (!(error instanceof ReadError)) return undefined;
  const { system, message } = error;
  const detail = `The ${system} gave no usable answer: ${message}. Nothing was changed.`;
  return new HttpError(502, detail);
}
