import { createLogger } from 'service-kit/logger';
import { createMetrics } from 'service-kit/operations';
import { parseOrExit, serve } from 'service-kit/run';
import { buildApp } from './app.ts';
import { parseConfig } from './config.ts';
import { createMemoryLedger } from './delivery/ledger.ts';
import { createHttpClient } from './http-client.ts';
import { createPollerMetrics } from './metrics.ts';
import { createCrmClient } from './welcome-package/crm-client.ts';
import { createInventoryClient } from './welcome-package/inventory-client.ts';
import { createPoller } from './welcome-package/poller.ts';

const config = parseOrExit('integration-service', () => parseConfig(process.env));
const log = createLogger({ name: 'integration-service', ...config.log });
const metrics = createMetrics();
const http = createHttpClient({
  connections: config.deliveryConcurrency,
  timeoutMs: config.requestTimeoutMs,
});
const poller = createPoller({
  ...config,
  crm: createCrmClient({ ...config, http, url: config.crmUrl, log }),
  inventory: createInventoryClient({ http, url: config.inventoryUrl, log }),
  ledger: createMemoryLedger(),
  metrics: createPollerMetrics(metrics),
  concurrency: config.deliveryConcurrency,
  log,
});
const app = await buildApp({ log, metrics, checkReadiness: poller.checkReadiness });

await serve({
  app,
  log,
  host: config.host,
  port: config.port,
  portVariable: 'INTEGRATION_SERVICE_PORT',
  async stop() {
    await poller.stop();
    await http.close();
  },
});
poller.start();
