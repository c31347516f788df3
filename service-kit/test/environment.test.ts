import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  EnvironmentError,
  httpUrlSchema,
  parseEnvironment,
  portSchema,
} from '../src/environment.ts';

const schema = z.object({
  PORT: portSchema.default(8000),
  NAME: z.string({ error: 'must be a name' }),
  TARGET: httpUrlSchema.optional().meta({ secret: true }),
});

const problems = (env: NodeJS.ProcessEnv) => {
  try {
    parseEnvironment(schema, env);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(EnvironmentError);
    return (error as EnvironmentError).problems;
  }
};

describe('the environment', () => {
  it('is parsed to the types of the schema, with its defaults', () => {
    expect(parseEnvironment(schema, { NAME: 'x', OTHER: 'y' })).toEqual({ PORT: 8000, NAME: 'x' });
    expect(parseEnvironment(schema, { NAME: 'x', PORT: '0' }).PORT).toBe(0);
  });

  it('has no value where a variable is empty', () => {
    expect(parseEnvironment(schema, { NAME: 'x', PORT: '', TARGET: ' ' })).toEqual({
      PORT: 8000,
      NAME: 'x',
    });
    expect(problems({ NAME: '' })).toEqual(['NAME must be a name, but is not set']);
  });

  it('may have white space around its values', () => {
    expect(parseEnvironment(schema, { NAME: ' x\n', PORT: ' 81 ' })).toEqual({
      PORT: 81,
      NAME: 'x',
    });
  });

  it('is refused with every problem at once', () => {
    expect(problems({ PORT: 'x', TARGET: 'y' })).toEqual([
      'PORT must be a whole number from 0 to 65535, but is "x"',
      'NAME must be a name, but is not set',
      'TARGET must be an http:// or https:// URL',
    ]);
  });
});

describe('a secret', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'environment-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const file = (text: string) => {
    const path = join(folder, 'secret');
    writeFileSync(path, text);
    return path;
  };

  it.each([
    'http://jane:canary@crm.test/x',
    'http://jane:canary@crm.test/x\n',
    'http://jane:canary@crm.test/x\r\n',
  ])('may come in a file, with or without a last newline: %j', (text) => {
    const { TARGET } = parseEnvironment(schema, { NAME: 'x', TARGET_FILE: file(text) });
    expect(TARGET?.href).toBe('http://jane:canary@crm.test/x');
  });

  it('never appears in a message', () => {
    const [fromVariable] = problems({ NAME: 'x', TARGET: 'ftp://jane:canary@crm.test' });
    const [fromFile] = problems({ NAME: 'x', TARGET_FILE: file('ftp://jane:canary@crm.test') });
    expect(fromVariable).toBe('TARGET must be an http:// or https:// URL');
    expect(fromFile).toBe(fromVariable);
  });

  it('is refused when it comes both ways, or the file is empty or cannot be read', () => {
    expect(problems({ NAME: 'x', TARGET: 'http://a/', TARGET_FILE: file('http://a/') })).toEqual([
      'TARGET and TARGET_FILE are both set: keep one of them',
    ]);
    expect(problems({ NAME: 'x', TARGET_FILE: file('\n') })[0]).toMatch(
      /^TARGET_FILE names an empty file: /,
    );
    expect(problems({ PORT: 'x', TARGET_FILE: join(folder, 'nowhere') })).toEqual([
      expect.stringMatching(/^TARGET_FILE cannot be read: ENOENT/),
      'PORT must be a whole number from 0 to 65535, but is "x"',
      'NAME must be a name, but is not set',
    ]);
  });

  it('is refused under a name that it had before, which the message corrects', () => {
    const renamed = z.object({
      TARGET: httpUrlSchema.optional().meta({ secret: true, formerly: 'GOAL' }),
    });
    for (const env of [{ GOAL: 'http://canary' }, { GOAL_FILE: file('http://canary') }]) {
      expect(() => parseEnvironment(renamed, env)).toThrow(
        /^GOAL is called TARGET now: rename it$/,
      );
    }
    expect(parseEnvironment(renamed, { GOAL: ' ' })).toEqual({});
  });

  it('is one problem when it must be there and its file cannot be read', () => {
    const required = z.object({ TARGET: httpUrlSchema.meta({ secret: true }) });
    expect(() => parseEnvironment(required, { TARGET_FILE: join(folder, 'nowhere') })).toThrow(
      /^TARGET_FILE cannot be read: [^;]*$/,
    );
  });

  it('is the only kind of variable that comes in a file', () => {
    expect(problems({ NAME_FILE: file('x') })).toEqual(['NAME must be a name, but is not set']);
  });
});
