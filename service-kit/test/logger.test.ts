import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

/** What a process prints that logs once and ends at once. */
function logInProcess(options: object, message: string): string {
  const script = `
    import { createLogger } from ${JSON.stringify(new URL('../src/logger.ts', import.meta.url).href)};
    createLogger(${JSON.stringify(options)}).info({ a: 1 }, ${JSON.stringify(message)});
    process.exit(0);`;
  return execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
}

const name = 'test-service';
const message = 'Found \u001b[31mJane\nDoe\u2028 "é"\u202e';

it('writes a line of JSON an event where there is no terminal', () => {
  const lines = logInProcess({ name, level: 'info' }, message).trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] as string)).toMatchObject({ name, level: 30, msg: message, a: 1 });
});

it('shows control characters instead of obeying them when it is pretty', () => {
  const text = logInProcess({ name, level: 'info', format: 'pretty' }, message);
  expect(text).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: /);
  expect(text).toContain('INFO: Found \\u001b[31mJane\\nDoe\\u2028 "é"\\u202e {"a":1}\n');
  expect(text.trimEnd()).not.toContain('\n');
});

it('keeps quiet below its level', () => {
  expect(logInProcess({ name, level: 'warn' }, message)).toBe('');
});
