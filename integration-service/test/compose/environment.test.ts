import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../end-to-end/processes.ts';
import { temporaryFolder } from '../ledgers.ts';
import { execute } from './project.ts';

/** What each service would be given, with these variables in the shell and in `.env`; null stays unset. */
async function environments(shell: NodeJS.ProcessEnv, lines: string[], override = '{}') {
  const folder = temporaryFolder();
  const envFile = join(folder, '.env');
  const overrideFile = join(folder, 'override.yml');
  writeFileSync(envFile, lines.join('\n'));
  writeFileSync(overrideFile, `services: { integration-service: { environment: ${override} } }`);
  const files = ['-f', 'docker-compose.yml', '-f', overrideFile, '--env-file', envFile];
  const { stdout } = await execute(
    'docker',
    ['compose', ...files, 'config', '--format', 'json'],
    // The shell of the tests may have variables of its own.
    { cwd: ROOT, env: { PATH: process.env.PATH, HOME: process.env.HOME, ...shell } },
  );
  const { services } = JSON.parse(stdout);
  return ['crm-api', 'inventory-api', 'integration-service'].map(
    (name): NodeJS.ProcessEnv => services[name].environment,
  );
}

it('a variable comes from the shell, also an empty one, then from .env, else it stays unset', async () => {
  const lines = ['FLOWS=of-env', 'MAX_RETRIES=1', 'SURGE_LIMIT=1'];
  const [, , service] = await environments({ FLOWS: 'of-shell', MAX_RETRIES: '' }, lines);
  expect(service).toMatchObject({ FLOWS: 'of-shell', MAX_RETRIES: '', SURGE_LIMIT: '1' });
  expect(service).toMatchObject({ MAX_ATTEMPTS: null, LEDGER_URL: null, LEDGER_URL_FILE: null });
});

it('hosts and ports in the containers are fixed, and logs are for people, unless LOG_FORMAT says otherwise', async () => {
  const lines = ['CRM_API_HOST=x', 'CRM_API_PORT=1', 'INTEGRATION_SERVICE_PORT=2-4'];
  const [crm, inventory, service] = await environments({ LOG_FORMAT: '' }, lines);
  expect(crm).toMatchObject({ CRM_API_HOST: '0.0.0.0', CRM_API_PORT: '8000' });
  expect(service).toMatchObject({ CRM_API_HOST: 'crm-api', CRM_API_PORT: '8000' });
  expect(service).toMatchObject({ INTEGRATION_SERVICE_PORT: '8002', LOG_FORMAT: 'pretty' });
  expect(inventory).toMatchObject({ LOG_FORMAT: 'pretty' });
  const json = await environments({ LOG_FORMAT: 'json' }, lines);
  expect(json.map(({ LOG_FORMAT }) => LOG_FORMAT)).toEqual(['json', 'json', 'json']);
});

it('a service gets what it reads and no secret of another, and the former names that it refuses', async () => {
  const secrets = {
    ADMIN_TOKEN: 'canary-of-admin',
    CUSTOMER_EVENTS_URL: 'amqp://canary-of-events',
  };
  const [crm, inventory, service] = await environments(secrets, []);
  expect(service).toMatchObject(secrets);
  expect(crm).not.toHaveProperty('ADMIN_TOKEN');
  expect(crm).toMatchObject({ CUSTOMER_EVENTS_URL: 'amqp://canary-of-events' });
  expect(JSON.stringify(inventory)).not.toContain('canary');
});

it('an override file adds the file of a secret', async () => {
  const [, , service] = await environments({}, [], '{ LEDGER_URL_FILE: /run/secrets/ledger }');
  expect(service).toMatchObject({ LEDGER_URL: null, LEDGER_URL_FILE: '/run/secrets/ledger' });
});
