import { expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';

it('needs nothing from the environment', () => {
  const log = { level: 'info', format: undefined };
  expect(parseConfig({})).toEqual({ host: '127.0.0.1', port: 8001, log, misspelt: [] });
});

it('takes host, port and log from the environment', () => {
  expect(
    parseConfig({
      INVENTORY_API_HOST: '0.0.0.0',
      INVENTORY_API_PORT: '9000',
      LOG_LEVEL: 'debug',
      LOG_FORMAT: 'pretty',
    }),
  ).toEqual({
    host: '0.0.0.0',
    port: 9000,
    log: { level: 'debug', format: 'pretty' },
    misspelt: [],
  });
});
