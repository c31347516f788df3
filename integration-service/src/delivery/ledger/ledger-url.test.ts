import { expect, it } from 'vitest';
import { ledgerUrlSchema } from './ledger-url.ts';

it.each([
  ['sqlite:./data/ledger.sqlite', './data/ledger.sqlite'],
  ['sqlite:data/ledger.sqlite', 'data/ledger.sqlite'],
  ['sqlite:../ledger.sqlite', '../ledger.sqlite'],
  ['sqlite:/data/ledger.sqlite', '/data/ledger.sqlite'],
  ['sqlite:///data/ledger.sqlite', '/data/ledger.sqlite'],
  ['sqlite::memory:', ':memory:'],
  ['sqlite:my data/lädger 100%.sqlite', 'my data/lädger 100%.sqlite'],
  ['sqlite:a?b#c', 'a?b#c'],
  ['sqlite:C:\\data\\ledger.sqlite', 'C:\\data\\ledger.sqlite'],
])('a file or memory: %s', (text, path) => {
  expect(ledgerUrlSchema.parse(text)).toEqual({ kind: 'sqlite', path });
});

it.each([
  'postgres://localhost/ledger',
  'postgresql://localhost/ledger',
  'postgres://jane:p%40ss@db.example.com:5432/ledger?sslmode=require',
  'postgres:///ledger?host=/var/run/postgresql',
])('a PostgreSQL database, its URL as it is: %s', (url) => {
  expect(ledgerUrlSchema.parse(url)).toEqual({ kind: 'postgres', url });
});

it.each([
  '',
  ' ',
  'sqlite',
  'sqlite:',
  'sqlite:\n',
  'sqlite:file:/data/ledger.sqlite',
  'sqlite:file:ledger.sqlite?mode=ro',
  'sqlite:FILE:/data/ledger.sqlite',
  'sqlite:file::memory:',
  'sqlite://data/ledger.sqlite',
  'sqlite:////data/ledger.sqlite',
  'sqlite::memory',
  'sqlite::MEMORY:',
  'sqlite::',
  ' sqlite:a',
  'SQLITE:a',
  './data/ledger.sqlite',
  ':memory:',
  'file:ledger.sqlite',
  'postgres:ledger',
  'postgres:/localhost/ledger',
  'postgres://localhost:99999/ledger',
  'postgres://local host/ledger',
  'postgress://localhost/ledger',
  'xpostgres://localhost/ledger',
  'mysql://localhost/ledger',
  'https://localhost/ledger',
])('anything else is refused with the forms that there are: %j', (text) => {
  const { success, error } = ledgerUrlSchema.safeParse(text);
  expect(success).toBe(false);
  expect(error?.issues.map(({ message }) => message)).toEqual([
    'must be sqlite:<path of a file> (sqlite:/data/ledger.sqlite, for example), sqlite::memory: or postgres://…',
  ]);
});

it.each([undefined, null, 5, {}])('%j is refused', (value) => {
  expect(ledgerUrlSchema.safeParse(value).success).toBe(false);
});
