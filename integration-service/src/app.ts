import {
  createHttpService,
  type HttpService,
  type HttpServiceOptions,
} from 'service-kit/http-service';
import { createAdminGuard } from './admin-guard.ts';
import {
  addDeliveryRoutes,
  DELIVERIES_TAG,
  type DeliveryRoutesOptions,
} from './delivery/delivery-routes.ts';
import {
  addWebhookRoute,
  WEBHOOKS_TAG,
  type WebhookRouteOptions,
} from './welcome-package/webhook-route.ts';

export interface AppOptions
  extends Pick<HttpServiceOptions, 'log' | 'metrics' | 'checkReadiness' | 'serializerCompiler'>,
    Omit<DeliveryRoutesOptions, 'guard' | 'security'> {
  /** What the routes of deliveries ask for as a bearer token. Default: nothing. */
  adminToken?: string | undefined;
  /** The name under which the service listens. */
  host: string;
  /** More names by which pages may call it that need no token. Default: none. */
  allowedHosts?: readonly string[] | undefined;
  /** What takes webhooks. Default: nothing does. */
  webhookRoute?: Omit<WebhookRouteOptions, 'log' | 'now'> | undefined;
}

/** The HTTP door of the integration service: deliveries, health, metrics, documentation. Does not listen. */
export async function buildApp(options: AppOptions): Promise<HttpService> {
  const { adminToken: token, host, allowedHosts, webhookRoute } = options;
  const app = await createHttpService({
    ...options,
    title: 'Integration Service',
    description: 'Requests a welcome package from the inventory for every new customer of the CRM.',
    tags: [DELIVERIES_TAG, ...(webhookRoute ? [WEBHOOKS_TAG] : [])],
    handlerTimeoutMs: 15_000,
    ...(token && { securitySchemes: { adminToken: { type: 'http', scheme: 'bearer' } } }),
  });
  addDeliveryRoutes(app, {
    ...options,
    guard: createAdminGuard({ token, host, allowedHosts }),
    security: token ? [{ adminToken: [] }] : [],
  });
  if (webhookRoute) addWebhookRoute(app, { ...options, ...webhookRoute });
  return app;
}
