/** The variables that several services read. */
import { z } from 'zod';
import { eventsUrlSchema, group, hostSchema, portSchema } from './environment.ts';
import { webhookSecretsSchema } from './webhook-signature.ts';

export const hostOf = (service: string) =>
  hostSchema.prefault('127.0.0.1').describe(`Where ${service} listens; fixed under Compose.`);

export const portOf = (service: string, port: string) =>
  portSchema.prefault(port).describe(`The port of ${service} on this machine.`);

export const crmApiEnvironment = group('Addresses', {
  CRM_API_HOST: hostOf('crm-api'),
  CRM_API_PORT: portOf('crm-api', '8000'),
});

export const inventoryApiEnvironment = group('Addresses', {
  INVENTORY_API_HOST: hostOf('inventory-api'),
  INVENTORY_API_PORT: portOf('inventory-api', '8001'),
});

export const eventsEnvironment = group('Events', {
  CRM_EVENTS_URL: eventsUrlSchema
    .optional()
    .describe('Where crm-api sends an event for each new customer, if it is set.')
    .meta({ example: 'amqp://platform:platform@rabbitmq', formerly: 'CUSTOMER_EVENTS_URL' })
    .meta({ secret: true }),
  WEBHOOK_SECRET: webhookSecretsSchema
    .optional()
    .describe('The secret that signs webhooks. Without it, integration-service takes none.')
    .meta({ example: 'whsec_make-one-of-your-own', secret: true }),
});

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export const logEnvironment = group('Log', {
  LOG_LEVEL: z
    .enum(LEVELS, 'must be trace, debug, info, warn, error, fatal or silent')
    .prefault('info')
    .describe('`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`.'),
  LOG_FORMAT: z
    .enum(['json', 'pretty'], 'must be json or pretty')
    .optional()
    .describe(
      '`json` or `pretty`. Without it, `pretty` on a terminal and under Compose, else `json`.',
    )
    .meta({ example: 'pretty' }),
});
