import { createLogger } from 'service-kit/logger';
import { warnOfMisspelt } from 'service-kit/misspelt';
import { parseOrExit, serve } from 'service-kit/run';
import { buildApp } from './app.ts';
import { parseConfig } from './config.ts';

const config = parseOrExit('inventory-api', () => parseConfig(process.env));
const log = createLogger({ name: 'inventory-api', ...config.log });
warnOfMisspelt(log, config.misspelt);
const app = await buildApp({ log });

await serve({ app, log, host: config.host, port: config.port, portVariable: 'INVENTORY_API_PORT' });
