import { EnvironmentError, parseEnvironment } from 'service-kit/environment';
import { expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';
import { settingsOf } from '../src/flows.ts';
import { crmUrlOf, inventoryUrlOf } from '../src/systems/environment.ts';
import { welcomePackageEnvironment } from '../src/welcome-package/environment.ts';

const problems = (env: NodeJS.ProcessEnv) => {
  try {
    parseConfig(env);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(EnvironmentError);
    return (error as EnvironmentError).problems;
  }
};

const settings = (env: NodeJS.ProcessEnv) => parseEnvironment(welcomePackageEnvironment, env);

const OF_THE_FLOW = {
  CRM_API_HOST: '127.0.0.1',
  CRM_API_PORT: 8000,
  INVENTORY_API_HOST: '127.0.0.1',
  INVENTORY_API_PORT: 8001,
  POLLING_INTERVAL_SECONDS: 10,
  SWEEP_INTERVAL_SECONDS: 3_600,
  MAX_RETRIES: 3,
  RETRY_DELAY_SECONDS: 5,
  REQUEST_TIMEOUT_SECONDS: 5,
  MAX_RESPONSE_MEGABYTES: 256,
  DELIVERY_CONCURRENCY: 16,
  MAX_ATTEMPTS: 25,
};

it('needs nothing from the environment', () => {
  expect(parseConfig({})).toEqual({
    ...OF_THE_FLOW,
    INTEGRATION_SERVICE_HOST: '127.0.0.1',
    INTEGRATION_SERVICE_PORT: 8002,
    LEDGER_URL: { kind: 'sqlite', path: './data/ledger.sqlite' },
    LOG_LEVEL: 'info',
    RETRY_INTERVAL_SECONDS: 60,
    SYNC_COMPARE_SECONDS: 60,
    flows: ['welcome-package', 'customer-sync'],
    misspelt: [],
  });
});

it('gives a flow the values of its own variables, and no others', () => {
  const config = parseConfig({ ADMIN_TOKEN: 'a-token-of-mine', LEDGER_URL: 'sqlite::memory:' });
  expect(settingsOf('welcome-package', config)).toEqual(OF_THE_FLOW);
});

const urls = (env: NodeJS.ProcessEnv) => {
  const values = settings(env);
  return [crmUrlOf(values).href, inventoryUrlOf(values).href];
};

it.each([
  ['crm.example', 'crm.example'],
  ['127.0.0.2', '127.0.0.2'],
  ['::1', '[::1]'],
  ['0.0.0.0', 'localhost'],
  ['::', 'localhost'],
])('follows the hosts of the APIs: %s', (host, called) => {
  expect(urls({ CRM_API_HOST: host, INVENTORY_API_HOST: host })).toEqual([
    `http://${called}:8000/customers`,
    `http://${called}:8001/package-requests`,
  ]);
});

it('follows the ports of the APIs, unless it is told their URLs', () => {
  const env = { CRM_API_PORT: '9000', INVENTORY_API_PORT: '9001' };
  const inventoryUrl = 'http://localhost:9001/package-requests';
  expect(urls(env)).toEqual(['http://localhost:9000/customers', inventoryUrl]);
  const CRM_API_URL = 'https://crm.example/v2/customers?active=1';
  expect(urls({ ...env, CRM_API_URL })).toEqual([CRM_API_URL, inventoryUrl]);
});

it('takes fractions of seconds and megabytes', () => {
  const env = {
    POLLING_INTERVAL_SECONDS: '0.25',
    RETRY_DELAY_SECONDS: '0',
    REQUEST_TIMEOUT_SECONDS: '.5',
    MAX_RESPONSE_MEGABYTES: '1.5',
  };
  expect(settings(env)).toMatchObject({
    POLLING_INTERVAL_SECONDS: 0.25,
    RETRY_DELAY_SECONDS: 0,
    REQUEST_TIMEOUT_SECONDS: 0.5,
    MAX_RESPONSE_MEGABYTES: 1.5,
  });
});

it('names every problem, with what came', () => {
  expect(
    problems({
      INTEGRATION_SERVICE_PORT: '65536',
      CRM_API_URL: 'localhost:8000/customers',
      POLLING_INTERVAL_SECONDS: '-1',
      SWEEP_INTERVAL_SECONDS: '0',
      MAX_RETRIES: '2.5',
      RETRY_DELAY_SECONDS: '5s',
      REQUEST_TIMEOUT_SECONDS: '0',
      MAX_RESPONSE_MEGABYTES: '513',
      LEDGER_URL: 'mysql://user:password@host/db',
      DELIVERY_CONCURRENCY: '0',
      MAX_ATTEMPTS: '0',
      SURGE_LIMIT: '-1',
      ADMIN_TOKEN: 'short',
      LOG_LEVEL: 'loud',
      LOG_FORMAT: 'xml',
    }),
  ).toEqual([
    'CRM_API_URL must be an http:// or https:// URL',
    'POLLING_INTERVAL_SECONDS must be a number of seconds above 0 and at most 2147483, but is "-1"',
    'SWEEP_INTERVAL_SECONDS must be a number of seconds above 0 and at most 2147483, but is "0"',
    'MAX_RETRIES must be a whole number from 1 to 1000, but is "2.5"',
    'RETRY_DELAY_SECONDS must be a number of seconds from 0 to 2147483, but is "5s"',
    'REQUEST_TIMEOUT_SECONDS must be a number of seconds above 0 and at most 2147483, but is "0"',
    'MAX_RESPONSE_MEGABYTES must be a number of megabytes above 0 and at most 512, but is "513"',
    'DELIVERY_CONCURRENCY must be a whole number from 1 to 1000, but is "0"',
    'MAX_ATTEMPTS must be a whole number from 1 to 1000000, but is "0"',
    'SURGE_LIMIT must be a whole number from 1 to 1000000000, but is "-1"',
    'INTEGRATION_SERVICE_PORT must be a whole number from 0 to 65535, but is "65536"',
    'LEDGER_URL must be sqlite:<path of a file> (sqlite:/data/ledger.sqlite, for example), sqlite::memory: or postgres://…',
    'ADMIN_TOKEN must have 8 or more characters, all of them printable ASCII and no blank',
    'LOG_LEVEL must be trace, debug, info, warn, error, fatal or silent, but is "loud"',
    'LOG_FORMAT must be json or pretty, but is "xml"',
  ]);
});

it.each(['nope', 'ftp://crm/customers', '//crm', 'http://', 'http://:8000', 'http://a b/'])(
  'refuses %j as a URL, without showing what may hold a password',
  (INVENTORY_API_URL) => {
    expect(problems({ INVENTORY_API_URL })).toEqual([
      'INVENTORY_API_URL must be an http:// or https:// URL',
    ]);
  },
);

it('refuses a user name or password in a URL that cannot be decoded', () => {
  for (const CRM_API_URL of ['http://us%er:pw@crm/', 'http://user:p%w@crm/', 'http://u:%ff@crm/']) {
    expect(problems({ CRM_API_URL })).toEqual([
      'CRM_API_URL must have each % of its user name and password written as %25',
    ]);
  }
});

it.each(['a b', 'http://crm', 'crm/customers', 'user@crm', 'crm:8000', '[::1', '1.2.3.999'])(
  'refuses %j as a host',
  (CRM_API_HOST) => {
    expect(problems({ CRM_API_HOST })).toEqual([
      `CRM_API_HOST must be a host name or address, but is "${CRM_API_HOST}"`,
    ]);
  },
);

it('takes names of hosts as Host headers bring them', () => {
  const { ALLOWED_HOSTS } = parseConfig({ ALLOWED_HOSTS: 'Admin.Example.com, bücher.example' });
  expect(ALLOWED_HOSTS).toEqual(['admin.example.com', 'xn--bcher-kva.example']);
});

it.each([
  ...['a.example:8002', 'http://a.example', '*.example.com', 'a.example/', 'a.example,', ','],
  ...['a b', 'user@a.example', '[::1]:1', 'a.example?'],
])('refuses %j as names of hosts', (ALLOWED_HOSTS) => {
  expect(problems({ ALLOWED_HOSTS })).toEqual([
    `ALLOWED_HOSTS must be names of hosts with commas between them, without ports, but is "${ALLOWED_HOSTS}"`,
  ]);
});

it.each(['tökén-of-ours', 'with a blank', '1234567'])('refuses %j as a token', (ADMIN_TOKEN) => {
  expect(problems({ ADMIN_TOKEN })).toHaveLength(1);
});

it.each(['NaN', 'Infinity', '1e3', '0x10', '1,5', '5.', '.', '2147484', '9'.repeat(400), '٣'])(
  'refuses %j as a number of seconds',
  (POLLING_INTERVAL_SECONDS) => {
    expect(problems({ POLLING_INTERVAL_SECONDS })).toHaveLength(1);
  },
);

it('takes names of flows, each once, and names those that it knows when there is another', () => {
  const { flows } = parseConfig({ FLOWS: 'welcome-package, welcome-package' });
  expect(flows).toEqual(['welcome-package']);
  expect(problems({ FLOWS: 'welcome-package,nosuch' })).toEqual([
    'FLOWS must be some of welcome-package,customer-sync, with commas between them, but is "welcome-package,nosuch"',
  ]);
});

it('refuses the former name of a variable, and tells the new one', () => {
  expect(problems({ CUSTOMER_EVENTS_URL: 'amqp://canary' })).toEqual([
    'CUSTOMER_EVENTS_URL is called CRM_EVENTS_URL now: rename it',
  ]);
});
