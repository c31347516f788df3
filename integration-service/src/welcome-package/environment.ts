/** The variables of the flow and of the function. Light: it is loaded while the flow is off, too. */
import { httpUrlSchema } from 'service-kit/environment';
import { eventsEnvironment, logEnvironment } from 'service-kit/shared-variables';
import { z } from 'zod';
import { deliveryEnvironment, pollingEnvironment } from '../delivery/environment.ts';
import { httpEnvironment } from '../http/environment.ts';
import { crmEnvironment, inventoryEnvironment } from '../systems/environment.ts';

export const welcomePackageEnvironment = z.object({
  ...crmEnvironment.shape,
  ...inventoryEnvironment.shape,
  ...eventsEnvironment.shape,
  ...pollingEnvironment.shape,
  ...httpEnvironment.shape,
  ...deliveryEnvironment.shape,
});

export type WelcomePackageSettings = z.output<typeof welcomePackageEnvironment>;

/** A function has no inventory by default. */
export const lambdaEnvironment = z.object({
  INVENTORY_API_URL: z
    .string('must be set to where packages are requested')
    .pipe(httpUrlSchema)
    .meta({ secret: true }),
  ...httpEnvironment.pick({ REQUEST_TIMEOUT_SECONDS: true, MAX_RESPONSE_MEGABYTES: true }).shape,
  ...deliveryEnvironment.pick({ DELIVERY_CONCURRENCY: true }).shape,
  ...logEnvironment.pick({ LOG_LEVEL: true }).shape,
});

export type LambdaSettings = z.output<typeof lambdaEnvironment>;
