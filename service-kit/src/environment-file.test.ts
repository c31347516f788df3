import { describe, expect, it } from 'vitest';
import { parseEnvironmentFile } from './environment-file.ts';

/**
 * Texts that Node's `--env-file` reads differently, with the values of `docker compose config` (2.26.1).
 */
const NODE_DIFFERS: [string, Record<string, string>][] = [
  ['\uFEFFA=1\nB=2', { A: '1', B: '2' }],
  ['A=a#b', { A: 'a#b' }],
  ['A=a# b', { A: 'a# b' }],
  ['A=a#', { A: 'a#' }],
  ['export\tA=1', { A: '1' }],
  ['export  A=1', { A: '1' }],
  ['\tA=1', { A: '1' }],
  ['A\t=\t1', { A: '1' }],
  ['A=1\t', { A: '1' }],
  ['A=`a`', { A: '`a`' }],
  ['A=`a#b`', { A: '`a#b`' }],
];

/** Texts that both read alike. */
const ALL_AGREE: [string, Record<string, string>][] = [
  ['', {}],
  ['A=1', { A: '1' }],
  ['A=', { A: '' }],
  ['A=1\r\nB=2\r\n', { A: '1', B: '2' }],
  ['# x\nA=1', { A: '1' }],
  ['  # x\n\n\nA=1', { A: '1' }],
  ['A=a #b', { A: 'a' }],
  ['A=a ## b', { A: 'a' }],
  ["A=1 # it's", { A: '1' }],
  ['A="a#b"', { A: 'a#b' }],
  ["A='a#b'", { A: 'a#b' }],
  ['A="a" #b', { A: 'a' }],
  ['A="a"#b', { A: 'a' }],
  ["A='a' #b", { A: 'a' }],
  ['A="" #x', { A: '' }],
  ["A=''\r\nB=2", { A: '', B: '2' }],
  ['export A=1', { A: '1' }],
  [' A=1', { A: '1' }],
  ['A = 1 ', { A: '1' }],
  ['A=a=b', { A: 'a=b' }],
  ['A==1', { A: '=1' }],
  ['A=a"b"', { A: 'a"b"' }],
  ["A=it's", { A: "it's" }],
  ['A=a\\nb', { A: 'a\\nb' }],
  ["A='a\\nb'", { A: 'a\\nb' }],
  ["A='a\\\\b'", { A: 'a\\\\b' }],
  ['A=a\\', { A: 'a\\' }],
  ["B=2\nA='$B'", { A: '$B', B: '2' }],
  [`A='a "b" c'`, { A: 'a "b" c' }],
  [`A="a 'b' c"`, { A: "a 'b' c" }],
  ['A=a b\tc', { A: 'a b\tc' }],
  ['A=é', { A: 'é' }],
  ['A={"a":[1]}', { A: '{"a":[1]}' }],
  ['A=1\nA=2', { A: '2' }],
  ['A=1\nA=', { A: '' }],
];

it.each([...NODE_DIFFERS, ...ALL_AGREE])(
  '%j is read as Docker Compose reads it',
  (text, values) => {
    expect(parseEnvironmentFile(text)).toEqual({ values, problems: [] });
  },
);

const NOTHING = 'line 1: is neither NAME=value nor a comment';
const UNCLOSED = 'line 1: A has a quote that is not closed on its line';
const BEHIND = 'line 1: A has something behind its closing quote';
const HASH = 'line 1: A has a # that may begin a comment or not: put the value in quotes';
const CR = 'line 1: has a carriage return (CR) that is not the end of a line';
const ESCAPED = 'line 1: A has a backslash before a single quote, which may or may not end it';
const EXPANDED =
  'line 1: A has a $ or a backslash that Docker Compose would expand: put the value in single quotes';
const blank = (code: string) => `line 1: A has ${code}, a blank that not everybody takes for one`;

it.each([
  ...['A', '=1', 'A B=1', '1A=1', 'é=1', 'A: 1', 'A:1=2', 'export A', 'export=1', '\u00a0A=1'].map(
    (text) => [text, NOTHING],
  ),
  ...['A="1\nB=2', "A='1\nB=2", 'A="1\nB=2"', 'A="', "A='", 'A="a #b'].map((t) => [t, UNCLOSED]),
  ...['A="a"b', "A='a' b", "A='a''b'", 'A="1" B=2'].map((text) => [text, BEHIND]),
  ...['A=#b', 'A= #b', 'A=##', 'A=a\t#b'].map((text) => [text, HASH]),
  ...['A=1\rB=2', 'A="a\rb"', '# x\rA=1', 'A=1\r\r\nB=2'].map((text) => [text, CR]),
  ...['A=$B', 'A=${', 'A="$B"', 'A=a$', 'A=a$$b', 'A=\\$B'].map((text) => [text, EXPANDED]),
  ...['A="a\\nb"', 'A="a\\"b"'].map((text) => [text, EXPANDED]),
  ...["A='a\\'b'", "A='a\\'"].map((text) => [text, ESCAPED]),
  ...['A=\u00a01', 'A=1\u00a0', 'A=a\u00a0#b'].map((text) => [text, blank('U+00A0')]),
  ['A=a\u3000', blank('U+3000')],
  ['A=a\u2028b', blank('U+2028')],
  ['A=\ufeff1', blank('U+FEFF')],
  ['A=1\0', 'line 1: has the control character U+0000'],
  ['A="\v1"', 'line 1: has the control character U+000B'],
  ['A=\ufffd', 'line 1: is not UTF-8'],
])('%j, of which readers make different things, is refused', (text, problem) => {
  expect(parseEnvironmentFile(text as string).problems).toEqual([problem]);
});

describe('the problems', () => {
  it('are all told, with their lines, and the other lines are read', () => {
    expect(parseEnvironmentFile('A=1\r\n\r\nB\r\n# x\nC=$D\nE=2')).toEqual({
      values: { A: '1', E: '2' },
      problems: [
        'line 3: is neither NAME=value nor a comment',
        'line 5: C has a $ or a backslash that Docker Compose would expand: put the value in single quotes',
      ],
    });
  });

  it('show nothing of a value', () => {
    const text = 'A="canary" canary\nB=canary$1\nC=canary\u00a0\ncanary\nD=canary\rE=1\nF="canary';
    const { problems } = parseEnvironmentFile(text);
    expect(problems).toHaveLength(6);
    expect(problems.join()).not.toContain('canary');
  });
});
