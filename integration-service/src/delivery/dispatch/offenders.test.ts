import { expect, it } from 'vitest';
import { createOffenders } from './offenders.ts';

function setUp() {
  const { accept, judge } = createOffenders();
  let calls = 0;
  return {
    accept: (key?: string, call = ++calls) => accept(call, key),
    judge: (key: string) => judge(key, ++calls).verdict,
    times: (key: string) => judge(key, ++calls).times,
    begin: () => ++calls,
  };
}

it('takes the first 429 of each delivery, and all while nothing is accepted, for the system', () => {
  const { accept, judge } = setUp();
  expect(['a', 'b', 'a', 'b', 'a'].map(judge)).toEqual(Array(5).fill('system'));
  accept('c');
  expect(judge('d')).toBe('system');
});

it('suspects who gets it again after others were accepted, until the next call is accepted', () => {
  const { accept, judge } = setUp();
  expect(judge('a')).toBe('system');
  accept('b');
  expect(judge('a')).toBe('perhaps its own');
  accept('c');
  expect([judge('a'), judge('a')]).toEqual(['its own', 'its own']);
});

it('learns nothing from a call that was under way when the suspect got its 429', () => {
  const { accept, judge, begin } = setUp();
  judge('a');
  accept('b');
  const underWay = begin();
  judge('a');
  accept('c', underWay);
  expect(judge('a')).toBe('perhaps its own');
});

it('suspects nobody any more, and takes nobody for guilty, when another gets one', () => {
  const { accept, judge } = setUp();
  for (const key of ['a', 'b']) judge(key);
  accept();
  judge('a');
  accept();
  expect(judge('a')).toBe('its own');
  expect(judge('c')).toBe('system');
  expect(judge('a')).toBe('perhaps its own');
});

it('suspects less easily after each time that it was wrong', () => {
  const { accept, judge } = setUp();
  const afterAccepting = (count: number) => {
    for (let i = 0; i < count; i++) accept();
    return judge('a');
  };
  judge('a');
  expect([afterAccepting(1), judge('b')]).toEqual(['perhaps its own', 'system']);
  expect([afterAccepting(1), afterAccepting(2)]).toEqual(['system', 'perhaps its own']);
});

it('finds several that are always answered so, though they come one after the other', () => {
  const { accept, judge } = setUp();
  const keys = ['a', 'b', 'c'];
  for (const key of keys) judge(key);
  accept();
  expect(keys.map(judge)).toEqual(Array(3).fill('perhaps its own'));
  accept();
  expect(keys.map(judge)).toEqual(Array(3).fill('its own'));
});

it('suspects no more than three: then it is the system', () => {
  const { accept, judge } = setUp();
  const keys = ['a', 'b', 'c', 'd'];
  for (const key of keys) judge(key);
  accept();
  expect(keys.map(judge).at(-1)).toBe('system');
});

it('counts how often a suspect gets it that is alone, and forgets who is accepted', () => {
  const { accept, judge, times } = setUp();
  judge('a');
  accept('b');
  expect([times('a'), times('a'), times('a')]).toEqual([1, 2, 3]);
  accept('a');
  expect(judge('a')).toBe('system');
});

it('counts on for who was guilty all along, so that it waits longer each time', () => {
  const { accept, times } = setUp();
  times('a');
  accept('b');
  expect(times('a')).toBe(1);
  accept('c');
  expect([times('a'), times('a'), times('a')]).toEqual([2, 3, 4]);
});
