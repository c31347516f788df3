import { hostSchema, logEnvironment, parseEnvironment, portSchema } from 'service-kit/environment';
import { findMisspelt } from 'service-kit/misspelt';
import { z } from 'zod';

export const environmentSchema = z.object({
  INVENTORY_API_HOST: hostSchema.default('127.0.0.1'),
  INVENTORY_API_PORT: portSchema.default(8001),
  ...logEnvironment,
});

export type Config = ReturnType<typeof parseConfig>;

/** @throws {EnvironmentError} with every problem of the environment */
export function parseConfig(env: NodeJS.ProcessEnv) {
  const values = parseEnvironment(environmentSchema, env);
  return {
    host: values.INVENTORY_API_HOST,
    port: values.INVENTORY_API_PORT,
    log: { level: values.LOG_LEVEL, format: values.LOG_FORMAT },
    /** Unknown variables whose names are close to known ones. */
    misspelt: findMisspelt(environmentSchema, env),
  };
}
