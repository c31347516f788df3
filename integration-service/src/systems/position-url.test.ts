import { expect, it } from 'vitest';
import { fingerprintOfList, restoreUrl, shortenUrl } from './position-url.ts';

const LIST = new URL('https://jane:pw@crm.test/v1/s3cret/customers?api_key=ab/cd+1==&active');

it.each([
  ['https://jane:pw@crm.test/v1/s3cret/customers?api_key=ab/cd+1==&active', '<>?<0.0>&<1.0>'],
  ['https://jane:pw@crm.test/v1/s3cret/customers?api_key=ab/cd+1==&page=2', '<>?<0.0>&page=2'],
  [
    'https://jane:pw@crm.test/v1/s3cret/customers?page=2&active&api_key=ab/cd+1==',
    '<>?page=2&<1.0>&<0.0>',
  ],
  ['https://jane:pw@crm.test/v1/s3cret/customers?api_key=ab%2Fcd+1%3D%3D', '<>?<0.1>'],
  ['https://jane:pw@crm.test/v1/s3cret/customers?api_key=ab%2Fcd%201%3D%3D', '<>?<0.2>'],
  ['https://jane:pw@crm.test/v1/s3cret/customers/2', '<>/2'],
  ['https://jane:pw@crm.test/v1/s3cret/customers', '<>'],
  ['https://jane:pw@crm.test/other?api_key=other&api_key=ab/cd+1==', '/other?api_key=other&<0.0>'],
  [
    'https://jane:pw@crm.test/v1/s3cret/customers?a=%3C0.0%3E&b=<0.0>',
    '<>?a=%3C0.0%3E&b=%3C0.0%3E',
  ],
  ['https://jane:pw@crm.test/v1/s3cret/customers?after=x?y', '<>?after=x?y'],
])('%s is kept as %s, and is the same again', (href, short) => {
  const url = new URL(href);
  expect(shortenUrl(url, LIST)).toBe(short);
  expect(restoreUrl(short, LIST).href).toBe(url.href);
});

it('a parameter that is written in an unusual way is the same parameter', () => {
  const url = new URL('https://crm.test/v1/s3cret/customers?api_key=ab%2fcd%201==');
  const short = shortenUrl(url, LIST);
  expect(short).toBe('<>?<0.0>');
  expect(restoreUrl(short, LIST).search).toBe('?api_key=ab/cd+1==');
});

it('with another key in the configuration, the position has that one', () => {
  const list = new URL('https://crm.test/customers?api_key=new');
  expect(restoreUrl('<>?<0.0>&page=2&<7.0>', list).href).toBe(
    'https://crm.test/customers?api_key=new&page=2&',
  );
});

it('a fingerprint tells lists apart, not users, and shows nothing', () => {
  const fingerprint = fingerprintOfList(LIST);
  expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
  expect(fingerprintOfList(new URL(LIST.href.replace('jane:pw@', '')))).toBe(fingerprint);
  expect(fingerprintOfList(new URL(LIST.href.replace('&active', '')))).not.toBe(fingerprint);
});
