/** The variables of calls to other systems. */
import { group, megabytes, seconds, wholeNumber } from 'service-kit/environment';

export const httpEnvironment = group('Polling', {
  MAX_RETRIES: wholeNumber(1, 1_000).prefault('3').describe('Attempts to read a list in one poll.'),
  RETRY_DELAY_SECONDS: seconds({ zeroAllowed: true })
    .prefault('5')
    .describe('Time between these attempts.'),
  REQUEST_TIMEOUT_SECONDS: seconds().prefault('5').describe('The longest time of one call.'),
  // A string in V8 has at most 2^29 - 24 characters.
  MAX_RESPONSE_MEGABYTES: megabytes(512).prefault('256').describe('The largest list that is read.'),
});
