import { group, parseEnvironment } from 'service-kit/environment';
import { findMisspelt } from 'service-kit/misspelt';
import { hostOf, logEnvironment, portOf } from 'service-kit/shared-variables';
import { z } from 'zod';
import { adminEnvironment } from './admin-guard.ts';
import { deliveryEnvironment, pollingEnvironment } from './delivery/environment.ts';
import { ledgerEnvironment } from './delivery/ledger/ledger-url.ts';
import { FLOW_VARIABLES, flowsEnvironment, flowsOf } from './flows.ts';
import { httpEnvironment } from './http/environment.ts';

/** What the service reads itself. */
const ownEnvironment = z.object({
  ...flowsEnvironment.shape,
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
export const environmentSchema = z.object({ ...FLOW_VARIABLES, ...ownEnvironment.shape });

export type Config = ReturnType<typeof parseConfig>;

/**
 * The values of all variables, the names of the `flows` that are on, and `misspelt`: names that are not known.
 *
 * @throws {EnvironmentError} with every problem of the environment
 */
export function parseConfig(env: NodeJS.ProcessEnv) {
  const values = parseEnvironment(environmentSchema, env) as z.output<typeof ownEnvironment>;
  return { ...values, flows: flowsOf(values), misspelt: findMisspelt(environmentSchema, env) };
}
