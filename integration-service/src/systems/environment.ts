/** The variables that say where the two systems are. */
import { group, httpUrlSchema } from 'service-kit/environment';
import { crmApiEnvironment, inventoryApiEnvironment } from 'service-kit/shared-variables';
import type { z } from 'zod';

export const crmEnvironment = group('Addresses', {
  ...crmApiEnvironment.shape,
  CRM_API_URL: httpUrlSchema
    .optional()
    .describe('The list of customers of [your own CRM](own-systems.md).')
    .meta({ example: 'http://localhost:8000/customers', secret: true }),
});

export const inventoryEnvironment = group('Addresses', {
  ...inventoryApiEnvironment.shape,
  INVENTORY_API_URL: httpUrlSchema
    .optional()
    .describe('Where [your own inventory](own-systems.md) takes and lists package requests.')
    .meta({ example: 'http://localhost:8001/package-requests', secret: true }),
});

/** The URL of the list of customers: by default of crm-api, wherever it listens. */
export const crmUrlOf = (values: z.output<typeof crmEnvironment>): URL =>
  values.CRM_API_URL ?? urlOf(values.CRM_API_HOST, values.CRM_API_PORT, '/customers');

/** The URL at which crm-api keeps customers by their id, wherever it listens. */
export const crmRecordsUrlOf = (
  values: Pick<z.output<typeof crmEnvironment>, 'CRM_API_HOST' | 'CRM_API_PORT'>,
): URL => urlOf(values.CRM_API_HOST, values.CRM_API_PORT, '/api/crm/customers');

/** The URL of package requests: by default of inventory-api, wherever it listens. */
export const inventoryUrlOf = (values: z.output<typeof inventoryEnvironment>): URL =>
  values.INVENTORY_API_URL ??
  urlOf(values.INVENTORY_API_HOST, values.INVENTORY_API_PORT, '/package-requests');

/** The URL of the list of products: by default of inventory-api, wherever it listens. */
export const productsUrlOf = (
  values: Pick<
    z.output<typeof inventoryEnvironment>,
    'INVENTORY_API_HOST' | 'INVENTORY_API_PORT'
  > & {
    ANALYTICS_PRODUCTS_URL?: URL | undefined;
  },
): URL =>
  values.ANALYTICS_PRODUCTS_URL ??
  urlOf(values.INVENTORY_API_HOST, values.INVENTORY_API_PORT, '/products');

/** The URL of a server on this host. A wildcard address cannot be called: it becomes `localhost`. */
function urlOf(host: string, port: number, path: string): URL {
  const name = ['127.0.0.1', '0.0.0.0', '::'].includes(host) ? 'localhost' : host;
  return new URL(path, `http://${name.includes(':') ? `[${name}]` : name}:${port}`);
}
