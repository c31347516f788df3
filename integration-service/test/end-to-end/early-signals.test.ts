import { expect, it } from 'vitest';
import { ROOT, run } from './processes.ts';

/** Makes the process send itself a signal in the middle of its start, when it loads zod. */
const signalWhileLoading = (signal: string) =>
  `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  let isSent = false;
  registerHooks({
    load(url, context, next) {
      if (!isSent && url.includes('/node_modules/zod/')) process.kill(process.pid, '${signal}');
      isSent ||= url.includes('/node_modules/zod/');
      return next(url, context);
    },
  });
  process.on('exit', () => console.log(isSent ? 'came to zod' : 'never came to zod'));
`)}`;

it.each([
  ['crm-api/src/main.ts', 'SIGTERM'],
  ['crm-api/src/main.ts', 'SIGINT'],
  ['inventory-api/src/main.ts', 'SIGHUP'],
  ['integration-service/src/main.ts', 'SIGTERM'],
  ['start.ts', 'SIGTERM'],
  ['start.ts', 'SIGINT'],
] as const)('%s begins nothing and ends with 0 at a %s while it loads', async (program, signal) => {
  const args = ['--import', signalWhileLoading(signal), `${ROOT}${program}`];
  const { ended, lines } = run(process.execPath, args, {});
  expect(await ended).toBe(0);
  expect(lines).toEqual(['came to zod']);
});
