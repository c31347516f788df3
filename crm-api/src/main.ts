import { createLogger } from 'service-kit/logger';
import { parseOrExit, serve } from 'service-kit/run';
import { buildApp } from './app.ts';
import { parseConfig } from './config.ts';

const config = parseOrExit('crm-api', () => parseConfig(process.env));
const log = createLogger({ name: 'crm-api', ...config.log });
const app = await buildApp({ log });

await serve({ app, log, host: config.host, port: config.port, portVariable: 'CRM_API_PORT' });
