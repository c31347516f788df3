import { parseEnvironment } from 'service-kit/environment';
import { findMisspelt } from 'service-kit/misspelt';
import { inventoryApiEnvironment, logEnvironment } from 'service-kit/shared-variables';
import { z } from 'zod';

export const environmentSchema = z.object({
  ...inventoryApiEnvironment.shape,
  ...logEnvironment.shape,
});

export type Config = ReturnType<typeof parseConfig>;

/**
 * The values of the variables, and `misspelt`: names that are not known.
 *
 * @throws {EnvironmentError} with every problem of the environment
 */
export function parseConfig(env: NodeJS.ProcessEnv) {
  const values = parseEnvironment(environmentSchema, env);
  return { ...values, misspelt: findMisspelt(environmentSchema, env) };
}
