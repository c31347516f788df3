import { EnvironmentError } from 'service-kit/environment';
import { expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';

const problems = (env: NodeJS.ProcessEnv) => {
  try {
    parseConfig(env);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(EnvironmentError);
    return (error as EnvironmentError).problems;
  }
};

it('needs nothing from the environment', () => {
  expect(parseConfig({})).toEqual({
    host: '127.0.0.1',
    port: 8002,
    crmUrl: new URL('http://localhost:8000/customers'),
    inventoryUrl: new URL('http://localhost:8001/package-requests'),
    rabbitmqUrl: undefined,
    webhookSecrets: undefined,
    pollingIntervalMs: 10_000,
    sweepIntervalMs: 3_600_000,
    maxRetries: 3,
    retryDelayMs: 5_000,
    requestTimeoutMs: 5_000,
    maxResponseBytes: 256_000_000,
    deliveryConcurrency: 16,
    ledger: { kind: 'sqlite', path: './data/ledger.sqlite' },
    maxAttempts: 25,
    surgeLimit: undefined,
    adminToken: undefined,
    allowedHosts: [],
    flows: ['welcome-package'],
    log: { level: 'info', format: undefined },
    misspelt: [],
  });
});

it('follows the hosts of the APIs', () => {
  const urls = (host: string) => {
    const config = parseConfig({ CRM_API_HOST: host, INVENTORY_API_HOST: host });
    return [config.crmUrl.host, config.inventoryUrl.host];
  };
  expect(urls('crm.example')).toEqual(['crm.example:8000', 'crm.example:8001']);
  expect(urls('127.0.0.2')).toEqual(['127.0.0.2:8000', '127.0.0.2:8001']);
  expect(urls('::1')).toEqual(['[::1]:8000', '[::1]:8001']);
  for (const host of ['0.0.0.0', '::']) {
    expect(urls(host)).toEqual(['localhost:8000', 'localhost:8001']);
  }
});

it('follows the ports of the APIs, unless it is told their URLs', () => {
  const env = { CRM_API_PORT: '9000', INVENTORY_API_PORT: '9001' };
  expect(parseConfig(env)).toMatchObject({
    crmUrl: new URL('http://localhost:9000/customers'),
    inventoryUrl: new URL('http://localhost:9001/package-requests'),
  });
  const CRM_API_URL = 'https://crm.example/v2/customers?active=1';
  expect(parseConfig({ ...env, CRM_API_URL }).crmUrl.href).toBe(CRM_API_URL);
});

it('takes fractions of seconds and megabytes', () => {
  expect(
    parseConfig({
      POLLING_INTERVAL_SECONDS: '0.25',
      RETRY_DELAY_SECONDS: '0',
      REQUEST_TIMEOUT_SECONDS: '.5',
      MAX_RESPONSE_MEGABYTES: '1.5',
    }),
  ).toMatchObject({
    pollingIntervalMs: 250,
    retryDelayMs: 0,
    requestTimeoutMs: 500,
    maxResponseBytes: 1_500_000,
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
    'INTEGRATION_SERVICE_PORT must be a whole number from 0 to 65535, but is "65536"',
    'CRM_API_URL must be an http:// or https:// URL',
    'POLLING_INTERVAL_SECONDS must be a number of seconds above 0 and at most 2147483, but is "-1"',
    'SWEEP_INTERVAL_SECONDS must be a number of seconds above 0 and at most 2147483, but is "0"',
    'MAX_RETRIES must be a whole number from 1 to 1000, but is "2.5"',
    'RETRY_DELAY_SECONDS must be a number of seconds from 0 to 2147483, but is "5s"',
    'REQUEST_TIMEOUT_SECONDS must be a number of seconds above 0 and at most 2147483, but is "0"',
    'MAX_RESPONSE_MEGABYTES must be a number of megabytes above 0 and at most 512, but is "513"',
    'LEDGER_URL must be sqlite:<path of a file> (sqlite:/data/ledger.sqlite, for example), sqlite::memory: or postgres://…',
    'DELIVERY_CONCURRENCY must be a whole number from 1 to 1000, but is "0"',
    'MAX_ATTEMPTS must be a whole number from 1 to 1000000, but is "0"',
    'SURGE_LIMIT must be a whole number from 1 to 1000000000, but is "-1"',
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
  const { allowedHosts } = parseConfig({ ALLOWED_HOSTS: 'Admin.Example.com, bücher.example' });
  expect(allowedHosts).toEqual(['admin.example.com', 'xn--bcher-kva.example']);
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
    'FLOWS must be some of welcome-package, with commas between them, but is "welcome-package,nosuch"',
  ]);
});

it('refuses the former name of a variable, and tells the new one', () => {
  expect(problems({ CUSTOMER_EVENTS_URL: 'amqp://canary' })).toEqual([
    'CUSTOMER_EVENTS_URL is called CRM_EVENTS_URL now: rename it',
  ]);
});
