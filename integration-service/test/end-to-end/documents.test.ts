import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findMisspelt } from 'service-kit/misspelt';
import { describe, expect, it } from 'vitest';
import {
  environmentSchema as crmSchema,
  parseConfig as parseCrm,
} from '../../../crm-api/src/config.ts';
import {
  environmentSchema as inventorySchema,
  parseConfig as parseInventory,
} from '../../../inventory-api/src/config.ts';
import { environmentSchema, parseConfig } from '../../src/config.ts';
import { ROOT } from './processes.ts';

const read = (path: string) => readFileSync(`${ROOT}${path}`, 'utf8');

/** For Docker Compose alone. */
const composeVariables = [...read('docker-compose.yml').matchAll(/\$\{(RABBITMQ_[A-Z_]+):-/g)].map(
  ([, name]) => name as string,
);

const variables = [
  ...new Set(
    [crmSchema, inventorySchema, environmentSchema]
      .flatMap(({ shape }) => Object.keys(shape))
      .concat(composeVariables),
  ),
].sort();

/** Name and default of every variable that a document lists. */
const listed = {
  '.env.example': [...read('.env.example').matchAll(/^# ([A-Z_]+)=(\S+)$/gm)],
  'README.md': [...read('README.md').matchAll(/^\| `([A-Z_]+)` \| `([^`]+)`[^|]* \|/gm)],
};

describe.each(Object.entries(listed))('%s', (_, entries) => {
  it('lists every variable of the environment once, and no other', () => {
    expect(entries.map(([, name]) => name).sort()).toEqual(variables);
  });

  it('shows the defaults', () => {
    // These have none: what is shown is an example.
    const {
      LOG_FORMAT: _,
      SURGE_LIMIT: __,
      ADMIN_TOKEN: ___,
      ALLOWED_HOSTS: ______,
      CUSTOMER_EVENTS_URL: ____,
      WEBHOOK_SECRET: _____,
      ...env
    } = Object.fromEntries(entries.map(([, name, value]) => [name as string, value]));
    for (const parse of [parseCrm, parseInventory, parseConfig])
      expect(parse(env)).toEqual(parse({}));
  });
});

it('no variable looks misspelt to another service than its own', () => {
  const names = [...variables, ...variables.map((name) => `${name}_FILE`)];
  const env = Object.fromEntries(names.map((name) => [name, 'x']));
  for (const schema of [crmSchema, inventorySchema, environmentSchema])
    expect(findMisspelt(schema, env)).toEqual([]);
});

it('the code map of TECHNICAL_DESIGN.md names files that are there', () => {
  const [, map] = read('TECHNICAL_DESIGN.md').split(/^### 2\.2 Code map$|^## 3/m);
  const rows = [...(map ?? '').matchAll(/^\| (`[a-z].*?) \|/gm)].map(([, cell]) =>
    [...(cell as string).matchAll(/`([^`]+)`/g)].map(([, path]) => path as string),
  );
  expect(rows.length).toBeGreaterThan(20);
  for (const [first = '', ...others] of rows) {
    const folder = first.endsWith('/') ? first : dirname(first);
    for (const path of [first, ...others.map((other) => join(folder, other))]) {
      expect(existsSync(`${ROOT}${path}`), path).toBe(true);
    }
  }
});

it('docker-compose.yml hands on every variable of the poller', () => {
  const compose = read('docker-compose.yml');
  for (const name of variables.filter((name) => !name.endsWith('_HOST'))) {
    expect(compose).toContain(`\${${name}:-`);
  }
});

it('a system on the machine itself can be reached from the containers that call one', () => {
  for (const service of ['crm-api', 'integration-service'])
    expect(read('docker-compose.yml')).toMatch(
      new RegExp(`${service}/Dockerfile }\\n    extra_hosts: \\*host\\n`),
    );
});

it('npm does not warn of every package that its own Node is older than ours', () => {
  expect(read('.npmrc')).toMatch(/^loglevel=error$/m);
});
