import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

/** The output of a process that logs a message and a field `times` times and then ends at once. */
function logInProcess(options: object, message: string, times = 1, field: unknown = 1): string {
  const script = `
    import { createLogger } from ${JSON.stringify(new URL('../src/logger.ts', import.meta.url).href)};
    const log = createLogger(${JSON.stringify(options)});
    for (let i = 0; i < ${times}; i++) {
      log.info({ a: ${JSON.stringify(field)} }, ${JSON.stringify(message)});
      if (i % 100 === 99) await new Promise(setImmediate);
    }
    process.exit(0);`;
  // The reader starts late, so that a long log meets a full pipe.
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

it.each(['json', 'pretty'])(
  'shows them in every field, too, and those beyond ASCII: %s',
  (format) => {
    const odd = 'Jane\u001b[2J\r\n\u0085\u009b31m\u2029\u200f\u2067\ufeff';
    const text = logInProcess({ name, level: 'info', format }, odd, 1, { name: odd });
    expect(text.trimEnd()).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\ufeff]/u);
    const shown = String.raw`Jane\u001b[2J\r\n\u0085\u009b31m\u2029\u200f\u2067\ufeff`;
    expect(text.split(shown)).toHaveLength(3);
    if (format === 'json') expect(JSON.parse(text)).toMatchObject({ msg: odd, a: { name: odd } });
  },
);

it('shows them in the message of an error, however it is written', () => {
  const script = `
    import { createLogger } from ${JSON.stringify(new URL('../src/logger.ts', import.meta.url).href)};
    const log = createLogger({ name: 'test', level: 'info', format: 'pretty' });
    log.error({ err: new Error('bad\u001b[31m\u009b\u202e\\r\\n[12:00:00.000] INFO: FORGED') }, 'Failed.');`;
  const args = ['--input-type=module', '-e', script];
  const lines = execFileSync(process.execPath, args, { encoding: 'utf8' }).split('\n');
  expect(lines.join('')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
  expect(lines.filter((line) => line.startsWith('['))).toHaveLength(1);
});

it.each(['json', 'pretty'])('loses no line when the process ends: %s', (format) => {
  const lines = logInProcess({ name, level: 'info', format }, message, 5_000).trimEnd().split('\n');
  expect(lines).toHaveLength(5_000);
});

it('keeps quiet below its level', () => {
  expect(logInProcess({ name, level: 'warn' }, message)).toBe('');
});
