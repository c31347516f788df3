import { parseOrExit } from 'service-kit/run';
import { parseConfig } from './config.ts';
import { runService } from './service.ts';

await runService(parseOrExit('integration-service', () => parseConfig(process.env)));
