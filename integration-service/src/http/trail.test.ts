import { expect, it } from 'vitest';
import { createTrail } from './trail.ts';

const page = (number: number) => new URL(`http://crm.test/customers?page=${number}`);

it('a trail of pages is cut off after some, to go on there later', () => {
  const trail = createTrail({ maxPages: 5 });
  const follow = (number: number) =>
    trail.follow({ url: page(number), next: page(number + 1), count: 1, claims: {} });
  for (let i = 0; i < 4; i++) expect(follow(i)).toEqual({ next: page(i + 1) });
  expect(follow(4)).toEqual({ tail: page(5) });
});

it('a trail of empty pages ends after some, to go on there later', () => {
  const trail = createTrail({ maxPages: 100, maxEmptyPages: 10 });
  const follow = (number: number, count: number) =>
    trail.follow({ url: page(number), next: page(number + 1), count, claims: {} });
  for (let i = 0; i < 10; i++) expect(follow(i, 0)).toEqual({ next: page(i + 1) });
  expect(follow(10, 1)).toEqual({ next: page(11) });
  for (let i = 11; i < 21; i++) expect(follow(i, 0)).toEqual({ next: page(i + 1) });
  expect(follow(21, 0)).toEqual({ tail: page(22) });
});
