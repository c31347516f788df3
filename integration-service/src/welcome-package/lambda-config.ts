import { parseEnvironment } from 'service-kit/environment';
import { z } from 'zod';
import { environmentSchema } from '../config.ts';

const { shape } = environmentSchema;

/**
 * The variables of the service that a function uses too, with the same defaults, except that
 * INVENTORY_API_URL must be set and LEDGER_URL has no default.
 */
export const lambdaEnvironmentSchema = z.object({
  INVENTORY_API_URL: shape.INVENTORY_API_URL.transform((url, context) => {
    if (url) return url;
    context.addIssue('must be set to where packages are requested');
    return z.NEVER;
  }).meta({ secret: true }),
  REQUEST_TIMEOUT_SECONDS: shape.REQUEST_TIMEOUT_SECONDS,
  MAX_RESPONSE_MEGABYTES: shape.MAX_RESPONSE_MEGABYTES,
  LEDGER_URL: shape.LEDGER_URL.unwrap()
    .transform((location, context) => {
      if (location.kind === 'postgres') return location;
      context.addIssue('must be postgres://…, because a function has no disk that lasts');
      return z.NEVER;
    })
    .optional()
    .meta({ secret: true }),
  DELIVERY_CONCURRENCY: shape.DELIVERY_CONCURRENCY,
  MAX_ATTEMPTS: shape.MAX_ATTEMPTS,
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
    /** Without a ledger, only the idempotency key prevents a second package for a customer. */
    ledger: values.LEDGER_URL,
    deliveryConcurrency: values.DELIVERY_CONCURRENCY,
    /** Attempts of one delivery before it is dead; without a ledger, SQS counts the attempts. */
    maxAttempts: values.MAX_ATTEMPTS,
    logLevel: values.LOG_LEVEL,
  };
}
