import { expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';

it('needs nothing from the environment', () => {
  const log = { level: 'info', format: undefined };
  expect(parseConfig({})).toEqual({
    host: '127.0.0.1',
    port: 8000,
    events: undefined,
    log,
    misspelt: [],
  });
});

it('takes host, port and log from the environment', () => {
  expect(
    parseConfig({
      CRM_API_HOST: '0.0.0.0',
      CRM_API_PORT: '9000',
      LOG_LEVEL: 'debug',
      LOG_FORMAT: 'pretty',
    }),
  ).toMatchObject({
    host: '0.0.0.0',
    port: 9000,
    log: { level: 'debug', format: 'pretty' },
    misspelt: [],
  });
});
