import { group, parseEnvironment } from 'service-kit/environment';
import { findMisspelt } from 'service-kit/misspelt';
import { hostOf, logEnvironment, portOf } from 'service-kit/shared-variables';
import { z } from 'zod';
import { adminEnvironment } from './admin-guard.ts';
import { deliveryEnvironment, pollingEnvironment } from './delivery/environment.ts';
import { ledgerEnvironment } from './delivery/ledger/ledger-url.ts';
import * as flows from './flows.ts';
import { httpEnvironment } from './http/environment.ts';

/** What the service reads itself. */
const ownEnvironment = z.object({
  ...group('Addresses', {
    INTEGRATION_SERVICE_HOST: hostOf('integration-service'),
    INTEGRATION_SERVICE_PORT: portOf('integration-service', '8002'),
  }).shape,
  ...pollingEnvironment.shape,
  ...httpEnvironment.shape,
  ...ledgerEnvironment.shape,
  ...deliveryEnvironment.shape,
  ...adminEnvironment.shape,
  ...logEnvironment.shape,
});

/** All variables of the service, also those of flows that are off. */
export const environmentSchema = z.object({
  ...flows.FLOW_VARIABLES,
  ...flows.flowsEnvironment.shape,
  ...ownEnvironment.shape,
});

export type Config = ReturnType<typeof parseConfig>;

/**
 * The values that the service reads itself, the flows that are on, and `misspelt`: names that are not known.
 *
 * @throws {EnvironmentError} with every problem of the environment
 */
export function parseConfig(env: NodeJS.ProcessEnv) {
  // Finds all problems, before each part takes its own values.
  parseEnvironment(environmentSchema, env);
  return {
    ...parseEnvironment(ownEnvironment, env),
    flows: flows.parseFlows(env),
    misspelt: findMisspelt(environmentSchema, env),
  };
}
