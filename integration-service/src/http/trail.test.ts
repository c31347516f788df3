import { expect, it } from 'vitest';
import { createTrail } from './trail.ts';

const page = (number: number) => new URL(`http://crm.test/customers?page=${number}`);

it('a trail of pages is cut off after some, to go on there later', () => {
  const follow = createTrail({ maxPages: 5 });
  const pass = (number: number) =>
    follow({ url: page(number), next: page(number + 1), count: 1, claims: {} });
  for (let i = 0; i < 4; i++) expect(pass(i)).toEqual({ next: page(i + 1) });
  expect(pass(4)).toEqual({ tail: page(5) });
});

it('a trail of empty pages ends after some, to go on there later', () => {
  const follow = createTrail({ maxPages: 100, maxEmptyPages: 10 });
  const pass = (number: number, count: number) =>
    follow({ url: page(number), next: page(number + 1), count, claims: {} });
  for (let i = 0; i < 10; i++) expect(pass(i, 0)).toEqual({ next: page(i + 1) });
  expect(pass(10, 1)).toEqual({ next: page(11) });
  for (let i = 11; i < 21; i++) expect(pass(i, 0)).toEqual({ next: page(i + 1) });
  expect(pass(21, 0)).toEqual({ tail: page(22) });
});
