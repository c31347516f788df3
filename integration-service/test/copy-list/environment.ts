import { group, httpUrlSchema } from 'service-kit/environment';
import { z } from 'zod';
import { deliveryEnvironment, pollingEnvironment } from '../../src/delivery/environment.ts';

const ownEnvironment = group('Copies of lists', {
  COPY_FROM_URL: httpUrlSchema.prefault('http://localhost:9000/from').meta({
    description: 'The list that is read.',
    secret: true,
  }),
  COPY_TO_URL: httpUrlSchema.prefault('http://localhost:9000/to').meta({
    description: 'The list that is written to by POST, and read by GET.',
    secret: true,
  }),
});

/** The variables of the flow: some of its own, and some of the engine. */
export const copyListEnvironment = z.object({
  ...ownEnvironment.shape,
  ...pollingEnvironment.pick({ POLLING_INTERVAL_SECONDS: true }).shape,
  ...deliveryEnvironment.pick({ DELIVERY_CONCURRENCY: true, MAX_ATTEMPTS: true }).shape,
});
