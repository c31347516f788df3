import { parseEnvironment } from 'service-kit/environment';
import { findMisspelt, type Misspelt } from 'service-kit/misspelt';
import { inventoryApiEnvironment, logEnvironment } from 'service-kit/shared-variables';
import { z } from 'zod';

export const environmentSchema = z.object({
  ...inventoryApiEnvironment.shape,
  ...logEnvironment.shape,
});

export interface Config extends z.output<typeof environmentSchema> {
  /** Unknown variables whose names are close to known ones. */
  misspelt: Misspelt[];
}

/** @throws {EnvironmentError} with every problem of the environment */
export function parseConfig(env: NodeJS.ProcessEnv): Config {
  const values = parseEnvironment(environmentSchema, env);
  return { ...values, misspelt: findMisspelt(environmentSchema, env) };
}
