import { afterAll, beforeAll } from 'vitest';
import { type Broker, checkDocker, startBroker } from '../../prove/systems/broker.ts';

/** Whether there is a Docker engine that can start a RabbitMQ. */
export const hasDocker = await checkDocker().then(
  () => true,
  () => false,
);

/** The image may have to be downloaded first. */
const START_DEADLINE_MS = 300_000;

/**
 * A RabbitMQ that only the tests of the calling file use.
 *
 * @returns a function that gives its URL while a test runs
 */
export function useBroker(): () => string {
  const cleanUp = new AsyncDisposableStack();
  let broker: Broker | undefined;
  beforeAll(async () => {
    broker = await startBroker(cleanUp, AbortSignal.timeout(START_DEADLINE_MS));
  }, START_DEADLINE_MS);
  afterAll(() => cleanUp.disposeAsync());
  return () => (broker as Broker).url.href;
}
