import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

/** What a process prints that logs a message so many times and ends at once. */
function logInProcess(options: object, message: string, times = 1): string {
  const script = `
    import { createLogger } from ${JSON.stringify(new URL('../src/logger.ts', import.meta.url).href)};
    const log = createLogger(${JSON.stringify(options)});
    for (let i = 0; i < ${times}; i++) {
      log.info({ a: 1 }, ${JSON.stringify(message)});
      if (i % 100 === 99) await new Promise(setImmediate);
    }
    process.exit(0);`;
  // The reader comes late, so that a long log meets a full pipe.
  const command = '"$0" --input-type=module -e "$1" | (sleep 0.2; cat)';
  return execFileSync('sh', ['-c', command, process.execPath, script], { encoding: 'utf8' });
}

const name = 'test-service';
const message = 'Found \u001b[31mJane\nDoe\u2028 "é"\u202e';

it('writes a line of JSON an event where there is no terminal', () => {
  const lines = logInProcess({ name, level: 'info' }, message).trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] as string)).toMatchObject({
    name,
    level: 30,
    msg: message,
    a: 1,
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
  });
});

it('shows control characters instead of obeying them when it is pretty', () => {
  const text = logInProcess({ name, level: 'info', format: 'pretty' }, message);
  expect(text).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: /);
  expect(text).toContain('INFO: Found \\u001b[31mJane\\nDoe\\u2028 "é"\\u202e {"a":1}\n');
  expect(text.trimEnd()).not.toContain('\n');
});

it.each(['json', 'pretty'])('loses no line when the process ends: %s', (format) => {
  const lines = logInProcess({ name, level: 'info', format }, message, 5_000).trimEnd().split('\n');
  expect(lines).toHaveLength(5_000);
});

it('keeps quiet below its level', () => {
  expect(logInProcess({ name, level: 'warn' }, message)).toBe('');
});
