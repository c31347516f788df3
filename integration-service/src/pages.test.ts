import { expect, it } from 'vitest';
import { createTrail } from './pages.ts';

const page = (number: number) => new URL(`http://crm.test/customers?page=${number}`);

it('a trail of pages ends after 10,000 of them', () => {
  const trail = createTrail('CRM');
  let url = page(0);
  for (let i = 1; i < 10_000; i++) url = trail.follow({ url, next: page(i), count: 1 }).next as URL;
  expect(() => trail.follow({ url, next: page(10_000), count: 1 })).toThrow(
    'it leads on after 10000 pages',
  );
});

it('a trail of empty pages ends after some, to go on there later', () => {
  const trail = createTrail('CRM');
  const follow = (number: number, count: number) =>
    trail.follow({ url: page(number), next: page(number + 1), count });
  for (let i = 0; i < 10; i++) expect(follow(i, 0)).toEqual({ next: page(i + 1) });
  expect(follow(10, 1)).toEqual({ next: page(11) });
  for (let i = 11; i < 21; i++) expect(follow(i, 0)).toEqual({ next: page(i + 1) });
  expect(follow(21, 0)).toEqual({ tail: page(22) });
});
