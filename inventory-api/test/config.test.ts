import { expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';

it('needs nothing from the environment', () => {
  expect(parseConfig({})).toEqual({
    INVENTORY_API_HOST: '127.0.0.1',
    INVENTORY_API_PORT: 8001,
    LOG_LEVEL: 'info',
    misspelt: [],
  });
});

it('takes host, port and log from the environment', () => {
  const log = { LOG_LEVEL: 'debug', LOG_FORMAT: 'pretty' };
  expect(
    parseConfig({ ...log, INVENTORY_API_HOST: '0.0.0.0', INVENTORY_API_PORT: '9000' }),
  ).toEqual({
    ...log,
    INVENTORY_API_HOST: '0.0.0.0',
    INVENTORY_API_PORT: 9000,
    misspelt: [],
  });
});
