import { parseEnvironment } from 'service-kit/environment';
import { z } from 'zod';
import { baseEnvironment } from '../environment.ts';

const { shape } = baseEnvironment;

/**
 * The variables of the service that a function uses too, with the same defaults, except that
 * INVENTORY_API_URL must be set.
 */
export const lambdaEnvironmentSchema = z.object({
  INVENTORY_API_URL: shape.INVENTORY_API_URL.transform((url, context) => {
    if (url) return url;
    context.addIssue('must be set to where packages are requested');
    return z.NEVER;
  }).meta({ secret: true }),
  REQUEST_TIMEOUT_SECONDS: shape.REQUEST_TIMEOUT_SECONDS,
  MAX_RESPONSE_MEGABYTES: shape.MAX_RESPONSE_MEGABYTES,
  DELIVERY_CONCURRENCY: shape.DELIVERY_CONCURRENCY,
  LOG_LEVEL: shape.LOG_LEVEL,
});

export type LambdaConfig = ReturnType<typeof parseLambdaConfig>;

/** @throws {EnvironmentError} with every problem of the environment */
export function parseLambdaConfig(env: NodeJS.ProcessEnv) {
  const values = parseEnvironment(lambdaEnvironmentSchema, env);
  return {
    inventoryUrl: values.INVENTORY_API_URL,
    requestTimeoutMs: values.REQUEST_TIMEOUT_SECONDS,
    maxResponseBytes: values.MAX_RESPONSE_MEGABYTES,
    deliveryConcurrency: values.DELIVERY_CONCURRENCY,
    logLevel: values.LOG_LEVEL,
  };
}
