import { expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';

it('needs nothing from the environment', () => {
  expect(parseConfig({})).toEqual({
    CRM_API_HOST: '127.0.0.1',
    CRM_API_PORT: 8000,
    LOG_LEVEL: 'info',
    misspelt: [],
  });
});

it('takes host, port and log from the environment', () => {
  const log = { LOG_LEVEL: 'debug', LOG_FORMAT: 'pretty' };
  expect(parseConfig({ ...log, CRM_API_HOST: '0.0.0.0', CRM_API_PORT: '9000' })).toEqual({
    ...log,
    CRM_API_HOST: '0.0.0.0',
    CRM_API_PORT: 9000,
    misspelt: [],
  });
});
