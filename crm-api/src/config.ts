import { hostSchema, logEnvironment, parseEnvironment, portSchema } from 'service-kit/environment';
import { z } from 'zod';

export const environmentSchema = z.object({
  CRM_API_HOST: hostSchema.default('127.0.0.1'),
  CRM_API_PORT: portSchema.default(8000),
  ...logEnvironment,
});

/** @throws {EnvironmentError} with every problem of the environment */
export function parseConfig(env: NodeJS.ProcessEnv) {
  const values = parseEnvironment(environmentSchema, env);
  return {
    host: values.CRM_API_HOST,
    port: values.CRM_API_PORT,
    log: { level: values.LOG_LEVEL, format: values.LOG_FORMAT },
  };
}
