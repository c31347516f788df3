import type { Tools } from '../proof.ts';
import { startBroker } from '../systems/broker.ts';
import { createTcpProxy, type TcpProxy } from '../systems/tcp-proxy.ts';
import type { EventRoute } from './crm.ts';

/** A new broker, with one proxy for the publisher and one for the consumer. */
export async function openRabbitmq({ cleanUp, signal }: Tools): Promise<EventRoute> {
  const broker = await startBroker(cleanUp, signal);
  const publishing = cleanUp.use(await createTcpProxy(broker.url));
  const consuming = cleanUp.use(await createTcpProxy(broker.url));
  const through = ({ port }: TcpProxy) => {
    const url = new URL(broker.url);
    url.port = String(port);
    return url.href;
  };
  return {
    crmEnv: { CRM_EVENTS_URL: through(publishing) },
    serviceEnv: { CRM_EVENTS_URL: through(consuming) },
    // The cuts lose, in this order: a confirmation, acknowledgements, a message, a delivery.
    disturbances: [
      { kind: 'cut', run: () => publishing.cut('answer') },
      { kind: 'cut', run: () => consuming.cut('request') },
      { kind: 'restart', run: broker.restart },
      { kind: 'cut', run: () => publishing.cut('request') },
      { kind: 'cut', run: () => consuming.cut('answer') },
    ],
  };
}
