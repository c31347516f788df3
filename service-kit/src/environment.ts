import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { z } from 'zod';

/** The environment does not fit the schema. `problems` holds one line per variable. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';
  readonly code = 'ENVIRONMENT_INVALID';
  readonly problems: string[];

  constructor(problems: string[]) {
    super(problems.join('; '));
    this.problems = problems;
  }
}

/** What a variable's schema says of it with `.meta()`; group and example are for the documents. */
declare module 'zod' {
  interface GlobalMeta {
    group?: string;
    example?: string;
    secret?: boolean;
    formerly?: string;
  }
}

/** The variables of one part, which the documents list under a title. */
export function group<Shape extends Record<string, z.ZodType>>(title: string, shape: Shape) {
  for (const field of Object.values(shape)) {
    field.register(z.globalRegistry, { ...field.meta(), group: title });
  }
  return z.object(shape);
}

/**
 * What a schema says of its variables. Their `names` are their own and, for a secret, the one for the path of
 * a file; `default` is as it is written in the environment.
 */
export function variablesOf({ shape }: z.ZodObject) {
  return Object.entries(shape).map(([name, field]) => ({
    ...field.meta(),
    name,
    names: field.meta()?.secret ? [name, `${name}_FILE`] : [name],
    default: field instanceof z.ZodPrefault ? String(field.def.defaultValue) : undefined,
  }));
}

/**
 * Parses environment variables by a zod object schema whose keys are their names.
 *
 * An empty variable counts as unset; white space around a value is dropped. A variable whose schema ends
 * in `.meta({ secret: true })` may also be given as `NAME_FILE`, the path of a file that holds the value
 * (one trailing newline is dropped), and its value never appears in a message. A name that a variable had
 * before (`.meta({ formerly: 'OLD_NAME' })`) is a problem if it is set.
 *
 * @throws {EnvironmentError} with all problems at once
 */
export function parseEnvironment<Schema extends z.ZodObject>(
  schema: Schema,
  env: NodeJS.ProcessEnv,
): z.output<Schema> {
  const problems: string[] = [];
  const values: Record<string, string> = {};

  for (const { name, secret, formerly } of variablesOf(schema)) {
    if (formerly && (env[formerly]?.trim() || env[`${formerly}_FILE`]?.trim())) {
      problems.push(`${formerly} is called ${name} now: rename it`);
    }
    try {
      const value = secret ? readSecret(name, env) : env[name]?.trim();
      if (value) values[name] = value;
    } catch (error) {
      problems.push((error as Error).message);
    }
  }

  const result = schema.safeParse(values);
  for (const issue of result.error?.issues ?? []) {
    const name = String(issue.path[0]);
    if (problems.some((problem) => problem.startsWith(name))) continue;
    const value = values[name];
    const got = value === undefined ? 'is not set' : `is ${JSON.stringify(value)}`;
    const isSecret = schema.shape[name]?.meta()?.secret;
    problems.push(`${name} ${issue.message}${isSecret ? '' : `, but ${got}`}`);
  }
  if (problems.length > 0 || !result.success) throw new EnvironmentError(problems);
  return result.data;
}

function readSecret(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const value = env[name]?.trim();
  const path = env[`${name}_FILE`]?.trim();
  if (!path) return value;
  if (value) throw new Error(`${name} and ${name}_FILE are both set: keep one of them`);
  let text: string;
  try {
    text = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw new Error(`${name}_FILE cannot be read: ${(error as Error).message}`);
  }
  if (!text) throw new Error(`${name}_FILE names an empty file: ${path}`);
  return text;
}

/** A host name or address to listen on. */
export const hostSchema = z
  .string()
  .refine((host) => isIPv6(host) || URL.parse(`http://${host}`)?.hostname === host.toLowerCase(), {
    error: 'must be a host name or address',
  });

/** Host names separated by commas, converted to the form of a `Host` header: lower case and ASCII. */
export const hostNamesSchema = z.string().transform((text, context) => {
  const names = text.split(',').map((name) => {
    const url = URL.parse(`http://${name.trim()}`);
    const isName = url?.href === `http://${url?.hostname}/` && !/[*/?#@:]/.test(name);
    return isName ? url.hostname : undefined;
  });
  if (names.every((name) => name !== undefined)) return names;
  context.addIssue('must be names of hosts with commas between them, without ports');
  return z.NEVER;
});

/** A TCP port; 0 lets the system choose a free one. */
export const portSchema = wholeNumber(0, 65_535);

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return numberSchema(/^\d+$/, (number) => number >= min && number <= max, error);
}

/**
 * The longest time that a timer supports: Node fires a timer of more than 2^31 - 1 ms (24.8 days) after 1
 * ms.
 */
const MAX_SECONDS = 2_147_483;

/** Seconds, fractions allowed. Range: above 0 (or from 0) to 2,147,483. */
export function seconds({ zeroAllowed = false } = {}) {
  const range = zeroAllowed ? 'from 0 to' : 'above 0 and at most';
  const error = `must be a number of seconds ${range} ${MAX_SECONDS}`;
  const isLongEnough = (number: number) => zeroAllowed || number > 0;
  return numberSchema(DECIMAL, (number) => isLongEnough(number) && number <= MAX_SECONDS, error);
}

/** Megabytes of 1,000,000 bytes, fractions allowed. Range: above 0 to `max`. */
export function megabytes(max: number) {
  const error = `must be a number of megabytes above 0 and at most ${max}`;
  return numberSchema(DECIMAL, (number) => number > 0 && number <= max, error);
}

const DECIMAL = /^\d*\.?\d+$/;

function numberSchema(form: RegExp, isInRange: (number: number) => boolean, error: string) {
  const isValid = (text: string) => form.test(text) && isInRange(Number(text));
  return z.string().refine(isValid, error).transform(Number);
}

/** An absolute `http:` or `https:` URL; it may contain a user name and password. */
export const httpUrlSchema = urlSchema('http', 'https');

/** The target of events: a webhook (`http:`, `https:`) or RabbitMQ (`amqp:`, `amqps:`). */
export const eventsUrlSchema = urlSchema('http', 'https', 'amqp', 'amqps');

/** True for the URL of a webhook, false for the URL of a broker. */
export function isWebhookUrl({ protocol }: URL): boolean {
  return protocol === 'http:' || protocol === 'https:';
}

function urlSchema(...protocols: string[]) {
  const expected = protocols.map((protocol) => `${protocol}://`).join(', ');
  return z.string().transform((text, context) => {
    const url = URL.parse(text);
    if (!url?.host || !protocols.includes(url.protocol.slice(0, -1))) {
      context.addIssue(`must be an ${expected.replace(/, (?!.*,)/, ' or ')} URL`);
      return z.NEVER;
    }
    const isAmqp = /^amqps?:$/.test(url.protocol);
    // The client takes the first path segment as the virtual host, and reads settings from the query.
    if (isAmqp && (url.search || !/^\/?[^/]*$/.test(url.pathname) || !isDecodable(url.pathname))) {
      context.addIssue('must have nothing after its host but the name of a virtual host');
    }
    if (!isDecodable(url.username + url.password)) {
      context.addIssue('must have each % of its user name and password written as %25');
    }
    return url;
  });
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
