import { load } from 'service-kit/stop-signals';

const [{ parseOrExit }, { parseConfig }, { runService }] = await load(() =>
  Promise.all([import('service-kit/run'), import('./config.ts'), import('./service.ts')]),
);
await runService(parseOrExit('inventory-api', () => parseConfig(process.env)));
