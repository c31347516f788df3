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
} from './delivery/routes/delivery-routes.ts';
import {
  addWebhookRoute,
  WEBHOOKS_TAG,
  type WebhookRouteOptions,
} from './welcome-package/webhook-route.ts';

export interface AppOptions
  extends Pick<HttpServiceOptions, 'log' | 'metrics' | 'checkReadiness' | 'serializerCompiler'>,
    Omit<DeliveryRoutesOptions, 'guard' | 'security'> {
  /** The bearer token that the delivery routes require. Default: none. */
  adminToken?: string | undefined;
  /** The host that the service listens on. */
  host: string;
  /** More host names by which the delivery routes may be called without a token. Default: none. */
  allowedHosts?: readonly string[] | undefined;
  /** The options of the webhook route. Default: there is no such route. */
  webhookRoute?: Omit<WebhookRouteOptions, 'log' | 'now'> | undefined;
}

/** The HTTP server of the service: deliveries, webhooks, health, metrics, docs. Does not listen yet. */
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
