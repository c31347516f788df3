import { startBroker } from '../systems/broker.ts';
import { createTcpProxy } from '../systems/tcp-proxy.ts';
import type { Disturbance, EventSource, EventSourceOptions } from './event-source.ts';

/** A new broker, with one proxy for the publisher and one for the consumer. */
export async function openRabbitmqSource({ signal }: EventSourceOptions): Promise<EventSource> {
  await using parts = new AsyncDisposableStack();
  const broker = parts.use(await startBroker(signal));
  const publishing = parts.use(await createTcpProxy('publishing', broker.port, signal));
  const consuming = parts.use(await createTcpProxy('consuming', broker.port, signal));
  const through = (port: number) => {
    const url = new URL(broker.url);
    url.port = String(port);
    return url.href;
  };

  // They lose, in this order: a confirmation, acknowledgements, a message, a delivery.
  const cuts: Disturbance[] = [
    { kind: 'cut', run: () => publishing.cut('answer') },
    { kind: 'cut', run: () => consuming.cut('request') },
    { kind: 'cut', run: () => publishing.cut('request') },
    { kind: 'cut', run: () => consuming.cut('answer') },
  ];
  const rest = parts.move();
  return {
    crmEnv: { CRM_EVENTS_URL: through(publishing.port) },
    serviceEnv: { CRM_EVENTS_URL: through(consuming.port) },
    disturbances: [...cuts, { kind: 'restart', run: broker.restart }, ...cuts],
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  };
}
