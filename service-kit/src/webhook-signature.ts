import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/**
 * The signatures of Standard Webhooks 1.0.0
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md),
 * symmetric: HMAC-SHA256 over `<id>.<timestamp>.<body>`, in base64, after `v1,`.
 */

/** How far the time of an attempt may be from ours, before or after. */
const TOLERANCE_SECONDS = 300;

/** The command that makes a secret, for messages. */
export const MAKE_SECRET = 'echo "whsec_$(openssl rand -base64 32)"';

const MAX_SECRETS = 2;
/** What the standard asks of a secret. */
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;

/** With a dot in it, some of the id could be taken for the timestamp, and that for the body. */
const ID = /^[^.]+$/;
const TIMESTAMP = /^\d{1,12}$/;

/** The headers of a webhook, for the documentation of both ends. */
export const webhookHeaders = {
  'webhook-id': z.string().meta({
    description: 'Identifies the event: the same whenever it is sent again.',
    pattern: ID.source,
    examples: ['9b2d7c1e-5f4a-4c3b-8d6e-7f8091a2b3c4'],
  }),
  'webhook-timestamp': z.string().meta({
    description: 'When it was sent this time, in seconds of Unix time.',
    pattern: TIMESTAMP.source,
    examples: ['1767268800'],
  }),
  'webhook-signature': z.string().meta({
    description:
      'HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`, in base64, after `v1,`. While one ' +
      'secret takes the place of another, there are two, with a blank between them.',
    examples: ['v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='],
  }),
};

/** What is signed beside the body. */
export interface WebhookAttempt {
  /** The same for all attempts to send one event; no `.` in it. */
  id: string;
  /** Of this attempt, Unix time in seconds. */
  timestamp: number;
}

export type VerifiedWebhook = ({ isValid: true } & WebhookAttempt) | InvalidWebhook;
interface InvalidWebhook {
  isValid: false;
  /** In words, without any secret. */
  reason: string;
}

/**
 * One secret, or two while one takes the place of the other, with a blank or a comma between them:
 * `whsec_` (which may be missing) and 24 to 64 bytes in base64. The first is the current one.
 */
export const webhookSecretsSchema = z.string().transform((text, context): Buffer[] => {
  const secrets = text.split(/[\s,]+/).map(parseSecret);
  if (secrets.length <= MAX_SECRETS && secrets.every((secret) => secret !== undefined)) {
    return secrets;
  }
  context.addIssue(
    `must be one secret, or two with a blank between them, each whsec_ and ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes in base64, as this makes it: ${MAKE_SECRET}`,
  );
  return z.NEVER;
});

function parseSecret(text: string): Buffer | undefined {
  const base64 = text.replace(/^whsec_/, '');
  const secret = Buffer.from(base64, 'base64');
  // Buffer skips what is no base64; what comes back is then shorter.
  const isBase64 = secret.toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '');
  const isLongEnough = secret.length >= MIN_SECRET_BYTES && secret.length <= MAX_SECRET_BYTES;
  return isBase64 && isLongEnough ? secret : undefined;
}

/** The headers of an attempt to send a body, signed with each of the secrets. */
export function signWebhook(secrets: Buffer[], attempt: WebhookAttempt, body: string | Buffer) {
  const { id, timestamp } = attempt;
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': secrets
      .map((secret) => signatureOf(secret, { id, timestamp: String(timestamp) }, body))
      .join(' '),
  };
}

/**
 * Whether a request was sent by somebody who has one of the secrets, within the last five minutes or
 * the next.
 *
 * @param body as it came, byte for byte
 * @param now Unix time in milliseconds
 */
export function verifyWebhook(
  secrets: Buffer[],
  headers: Record<string, string | string[] | undefined>,
  body: Buffer,
  now: number,
): VerifiedWebhook {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string') {
    return invalid('webhook-id, webhook-timestamp and webhook-signature must be there');
  }
  if (!ID.test(id)) return invalid('webhook-id must not have a dot in it');
  if (!TIMESTAMP.test(timestamp)) return invalid('webhook-timestamp must be a number of seconds');
  const ageSeconds = Math.floor(now / 1_000) - Number(timestamp);
  if (Math.abs(ageSeconds) > TOLERANCE_SECONDS) {
    const distance = `${Math.abs(ageSeconds)} s in the ${ageSeconds > 0 ? 'past' : 'future'}`;
    return invalid(`webhook-timestamp is ${distance}, by our clock`);
  }
  const expected = secrets.map((secret) => signatureOf(secret, { id, timestamp }, body));
  const isSigned = signatures
    // Of header lines that came apart, Node makes one with commas.
    .split(/,?[ \t]+/)
    .some((given) => expected.some((signature) => isEqual(given, signature)));
  if (!isSigned) return invalid('webhook-signature has no signature made with our secret');
  return { isValid: true, id, timestamp: Number(timestamp) };
}

function invalid(reason: string): InvalidWebhook {
  return { isValid: false, reason };
}

function signatureOf(
  secret: Buffer,
  { id, timestamp }: { id: string; timestamp: string },
  body: string | Buffer,
): string {
  const hmac = createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(body);
  return `v1,${hmac.digest('base64')}`;
}

/** Compares as text, not as bytes: base64 has several spellings of the same bytes. */
function isEqual(given: string, expected: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(expected)];
  return left.length === right.length && timingSafeEqual(left, right);
}
