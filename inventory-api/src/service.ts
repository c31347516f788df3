import { createLogger } from 'service-kit/logger';
import { serve } from 'service-kit/run';
import { buildApp } from './app.ts';
import type { Config } from './config.ts';

/** Wires the parts of the service, listens, and answers requests until the first stop signal. */
export async function runService(config: Config): Promise<void> {
  const log = createLogger({ name: 'inventory-api', ...config.log });
  for (const { warning } of config.misspelt) log.warn(warning);
  const app = await buildApp({ log });

  await serve({
    app,
    log,
    host: config.host,
    port: config.port,
    portVariable: 'INVENTORY_API_PORT',
  });
}
