import { HttpError } from 'service-kit/errors';
import {
  createHttpService,
  type HttpService,
  type HttpServiceOptions,
} from 'service-kit/http-service';
import { createAdminGuard } from './admin-guard.ts';
import type { Ledger } from './delivery/ledger/ledger.ts';
import { LedgerError } from './delivery/ledger/ledger-error.ts';
import { addDeliveryRoutes, DELIVERIES_TAG } from './delivery/routes/delivery-routes.ts';
import { ReadError } from './delivery/target.ts';
import type { OpenFlow } from './open-flow.ts';

export interface AppOptions
  extends Pick<HttpServiceOptions, 'log' | 'metrics' | 'checkReadiness' | 'serializerCompiler'> {
  ledger: Ledger;
  flows: readonly Pick<OpenFlow, 'flow' | 'blockedUntil' | 'dispatcher' | 'addRoutes' | 'tags'>[];
  /** Unix time in milliseconds. */
  now: () => number;
  /** The paths of flows that are off, and the name of the flow of each. Default: there are none. */
  pathsOff?: readonly [path: string, flow: string][];
  /** The bearer token that the delivery routes require. Default: none. */
  adminToken?: string | undefined;
  /** The host that the service listens on. */
  host: string;
  /** More host names by which the delivery routes may be called without a token. Default: none. */
  allowedHosts?: readonly string[] | undefined;
}

/** The HTTP server of the service: deliveries, webhooks, health, metrics, docs. Does not listen yet. */
export async function buildApp(options: AppOptions): Promise<HttpService> {
  const { flows, pathsOff = [], adminToken: token, host, allowedHosts } = options;
  const app = await createHttpService({
    ...options,
    title: 'Integration Service',
    description: 'Requests a welcome package from the inventory for every new customer of the CRM.',
    tags: [DELIVERIES_TAG, ...flows.flatMap(({ tags }) => tags)],
    handlerTimeoutMs: 15_000,
    toHttpError,
    ...(token && { securitySchemes: { adminToken: { type: 'http', scheme: 'bearer' } } }),
  });
  addDeliveryRoutes(app, {
    ...options,
    guard: createAdminGuard({ token, host, allowedHosts }),
    security: token ? [{ adminToken: [] }] : [],
  });
  for (const flow of flows) flow.addRoutes(app);
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
