import { describe, expect, it } from 'vitest';
import { parseEvent, readEvent } from './customer-event.ts';

const customer = { id: 'a', name: 'Jane' };
const event = { event_id: '1', event_type: 'CREATE', occurred_at: 'now', customer };

describe('an event', () => {
  it('tells of a new customer, whatever else it says', () => {
    expect(parseEvent(event)).toEqual({ kind: 'created', customer });
    const sparse = { event_type: 'CREATE', customer: { id: 'a', more: [1] }, more: 1 };
    expect(parseEvent(sparse)).toEqual({
      kind: 'created',
      customer: { id: 'a', name: 'unnamed' },
    });
  });

  it.each(['UPDATE', 'DELETE'])('of type %s is nothing to act on', (event_type) => {
    expect(parseEvent({ event_type, customer: null })).toEqual({ kind: 'other' });
  });

  it.each([
    [null, 'it is no object'],
    [[event], 'it is no object'],
    ['CREATE', 'it is no object'],
    [{ customer }, 'its event_type is none of CREATE, UPDATE and DELETE'],
    [{ ...event, event_type: 'create' }, 'its event_type is none of CREATE, UPDATE and DELETE'],
    [{ event_type: 'CREATE' }, 'its customer cannot be used: it is no object'],
    [{ ...event, customer: {} }, 'its customer cannot be used: it has no id'],
    [{ ...event, customer: { id: 7 } }, 'its customer cannot be used: its id is not a string'],
  ])('cannot be %j', (value, reason) => {
    expect(parseEvent(value)).toEqual({ kind: 'unusable', reason });
  });

  it('is read from JSON in UTF-8 and nothing else', () => {
    const text = JSON.stringify({ ...event, customer: { id: 'ü', name: 'ü' } });
    const read = { kind: 'created', customer: { id: 'ü', name: 'ü' } };
    expect(readEvent(text)).toEqual(read);
    expect(readEvent(Buffer.from(text))).toEqual(read);
    expect(readEvent(`\ufeff${text}`)).toEqual(read);
    expect(readEvent(Buffer.from(`\ufeff${text}`))).toEqual(read);
    const broken = Buffer.from(text.replace('ü', '\xff'), 'latin1');
    expect(readEvent(broken)).toEqual({ kind: 'unusable', reason: 'it is not valid UTF-8' });
    for (const nothing of ['', '{', `${text},`]) {
      expect(readEvent(nothing)).toEqual({ kind: 'unusable', reason: 'it is not JSON' });
    }
    const deep = `{"event_type":"CREATE","customer":${'['.repeat(1e6)}${']'.repeat(1e6)}}`;
    expect(readEvent(deep)).toEqual({
      kind: 'unusable',
      reason: 'it nests deeper than 1000 levels',
    });
  });
});
