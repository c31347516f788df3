/** The variables of the engine. */
import { group, seconds, wholeNumber } from 'service-kit/environment';

export const pollingEnvironment = group('Polling', {
  POLLING_INTERVAL_SECONDS: seconds().prefault('10').describe('Time from one poll to the next.'),
  SWEEP_INTERVAL_SECONDS: seconds().prefault('3600').describe('How often a whole list is read.'),
});

export const deliveryEnvironment = group('Deliveries', {
  DELIVERY_CONCURRENCY: wholeNumber(1, 1_000)
    .prefault('16')
    .describe('How many deliveries of a flow may be under way at the same time.'),
  MAX_ATTEMPTS: wholeNumber(1, 1_000_000)
    .prefault('25')
    .describe('Attempts before a delivery becomes a [dead letter](operations.md#dead-letters).'),
  SURGE_LIMIT: wholeNumber(1, 1_000_000_000)
    .optional()
    .describe('More new records than this at once are held back until you decide.')
    .meta({ example: '1000' }),
});
