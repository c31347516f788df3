import { expect, it } from 'vitest';
import { escapeControls } from './escape-controls.ts';

it.each([
  ['a line break', 'a\r\nb', 'a\\r\\nb'],
  ['a terminal code', '\u001b[31mred\u0007', '\\u001b[31mred\\u0007'],
  ['DEL and C1', '\u007f\u0085\u009b31m', '\\u007f\\u0085\\u009b31m'],
  ['line separators', '\u2028\u2029', '\\u2028\\u2029'],
  [
    'direction marks',
    '\u061c\u200e\u200f\u202e\u2066\u2069',
    '\\u061c\\u200e\\u200f\\u202e\\u2066\\u2069',
  ],
  ['a byte order mark', '\ufeffid', '\\ufeffid'],
  ['anything else', 'José "Ü" \\ 👩\u200d🚀', 'José "Ü" \\ 👩\u200d🚀'],
])('shows %s', (_, text, shown) => {
  expect(escapeControls(text)).toBe(shown);
});

it('leaves JSON what it is', () => {
  const value = { id: '\u001b\u009b\u202e\r\nFORGED' };
  expect(JSON.parse(escapeControls(JSON.stringify(value)))).toEqual(value);
});
