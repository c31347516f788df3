import { expect, it } from 'vitest';
import { hideQuery, hideSecrets } from './hide-secrets.ts';

const URL_WITH_KEY = new URL('https://jane:pass-word@crm.test/customers?api_key=ab/cdefgh=&page=2');

it.each([
  ['404 Not Found: no such key ab/cdefgh=', '404 Not Found: no such key …'],
  ['GET /customers?api_key=ab%2Fcdefgh%3D', 'GET /customers?api_key=…'],
  ['ab/cdefgh and ab/cdefgh=', 'ab/cdefgh and …'],
  ['the user jane has not pass-word', 'the user jane has not …'],
  ['page 2 of 7', 'page 2 of 7'],
  ['{"path":"\\/customers?api_key=ab\\/cdefgh="}', '{"path":"\\/customers?api_key=…"}'],
  ['Authorization: Basic amFuZTpwYXNzLXdvcmQ=', 'Authorization: Basic …'],
  ['shortened after api_key=ab/cdefg…', 'shortened after api_key=…'],
])('%j is shown as %j', (text, shown) => {
  expect(hideSecrets(text, URL_WITH_KEY)).toBe(shown);
});

it.each([
  ['https://jane:pw@crm.test/a?api_key=x&page=2#top', 'https://crm.test/a?api_key=…&page=…#top'],
  ['/login', '/login'],
  ['?after=x', '?after=…'],
  ['//jane@crm.test/@x', '//crm.test/@x'],
])('a link to %s is shown as %s', (target, shown) => {
  expect(hideQuery(target)).toBe(shown);
});

it.each([
  '<p>no &lt;one&amp;two/3&gt;</p>',
  'no <one&two/3>',
  'no %3Cone%26two%2F3%3E',
  'no %3cone%26two/3%3e',
  String.raw`no \u003cone\u0026two\/3\u003e`,
])('hides a key however it is escaped: %s', (text) => {
  const url = new URL('https://crm.test/?key=%3Cone%26two%2F3%3E');
  expect(hideSecrets(text, url)).toMatch(/^(<p>)?no …(<\/p>)?$/);
});
