import { expect, it } from 'vitest';
import { withoutExcerpt } from './response.ts';

it.each([
  ['404 Not Found: <h1>Alice</h1>', '404 Not Found'],
  ['connect ECONNREFUSED 127.0.0.1', 'connect ECONNREFUSED 127.0.0.1'],
  ['it is not the current list (Age: 12)', 'it is not the current list (Age)'],
  ['it leads on (<more>) to no page: Alice', 'it leads on (<more>) to no page'],
])('shows of %j what the answer does not say: %j', (reason, shown) => {
  expect(withoutExcerpt(reason)).toBe(shown);
});
