import { expect, it } from 'vitest';
import { z } from 'zod';
import { findMisspelt } from './misspelt.ts';

const schema = z.object({
  CRM_API_PORT: z.string(),
  CRM_API_HOST: z.string(),
  MAX_RETRIES: z.string(),
  ADMIN_TOKEN: z.string().optional().meta({ secret: true }),
});

it.each([
  ['ADMIN_TOKN', 'ADMIN_TOKEN'],
  ['ADMIN_TOKENN', 'ADMIN_TOKEN'],
  ['ADMIN_TOEKN', 'ADMIN_TOKEN'],
  ['ADMINTOKEN', 'ADMIN_TOKEN'],
  ['admin_token', 'ADMIN_TOKEN'],
  ['ADMIN_TOKEN_FLIE', 'ADMIN_TOKEN_FILE'],
  ['ADMIN_TOKENFILE', 'ADMIN_TOKEN_FILE'],
  ['CRM_API_PROT', 'CRM_API_PORT'],
  ['MAX_RETRY', undefined],
  ['MAX_RETRYES', 'MAX_RETRIES'],
])('%s is nearly %s, and nothing is said of its value', (name, meant) => {
  expect(findMisspelt(schema, { [name]: 'canary' })).toEqual(
    meant ? [{ name, warning: `${name} is not known: did you mean ${meant}?` }] : [],
  );
});

it.each([
  ...[
    'HOST',
    'PORT',
    'PATH',
    'TOKEN',
    'API_PORT',
    'CRM_PORT',
    'ADMIN',
    'ADMIN_USER',
    'CRM_API_URL',
  ],
  ...['CRM_API_PORT', 'CRM_API_HOST', 'ADMIN_TOKEN', 'ADMIN_TOKEN_FILE', 'MY_ADMIN_TOKEN', ''],
])('%s is known, or another thing', (name) => {
  expect(findMisspelt(schema, { [name]: 'x' })).toEqual([]);
});

it('what has no value is nothing to speak of', () => {
  expect(findMisspelt(schema, { ADMIN_TOKN: ' ', MAX_RETRIE: '' })).toEqual([]);
});
