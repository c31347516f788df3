import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/**
 * The signatures of Standard Webhooks 1.0.0
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md),
 * symmetric: HMAC-SHA256 over `<id>.<timestamp>.<body>`, in base64, after `v1,`.
 */

/** Maximum difference between the timestamp of an attempt and our clock, in either direction. */
const TOLERANCE_SECONDS = 300;

/** The command that makes a secret, for messages. */
export const MAKE_SECRET = 'echo "whsec_$(openssl rand -base64 32)"';

const MAX_SECRETS = 2;
/** The secret length that the standard requires. */
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;

/** If the id contained a dot, part of it could be read as the timestamp, and the timestamp as the body. */
const ID = /^[^.]+$/;
const TIMESTAMP = /^\d{1,12}$/;

/** The headers of a webhook, for the documentation of sender and receiver. */
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

/** What is signed together with the body. */
export interface WebhookAttempt {
  /** The same for all attempts to send one event; contains no `.`. */
  id: string;
  /** The time of this attempt, Unix time in seconds: the text of the header, for a receiver. */
  timestamp: number | string;
}

/**
 * One secret, or two while one replaces the other, separated by a blank or a comma: `whsec_` (optional)
 * and 24 to 64 bytes in base64. The first is the current one.
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
  // Buffer skips characters that are not base64; the re-encoded text is then shorter.
  const isBase64 = secret.toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '');
  const isLongEnough = secret.length >= MIN_SECRET_BYTES && secret.length <= MAX_SECRET_BYTES;
  return isBase64 && isLongEnough ? secret : undefined;
}

/** The headers of an attempt to send a body, with one signature per secret. */
export function signWebhook(secrets: Buffer[], attempt: WebhookAttempt, body: string | Buffer) {
  const { id, timestamp } = attempt;
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': secrets.map((secret) => signatureOf(secret, attempt, body)).join(' '),
  };
}

/**
 * Verifies that the sender of a request has one of the secrets, and that its timestamp is at most five
 * minutes before or after `now`.
 *
 * @param body as received, byte for byte
 * @param now Unix time in milliseconds
 * @returns why it is not verified, in words, without secrets; `undefined` when it is
 */
export function verifyWebhook(
  secrets: Buffer[],
  headers: Record<string, string | string[] | undefined>,
  body: Buffer,
  now: number,
): string | undefined {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string') {
    return 'webhook-id, webhook-timestamp and webhook-signature must be there';
  }
  if (!ID.test(id)) return 'webhook-id must not have a dot in it';
  if (!TIMESTAMP.test(timestamp)) return 'webhook-timestamp must be a number of seconds';
  const ageSeconds = Math.floor(now / 1_000) - Number(timestamp);
  if (Math.abs(ageSeconds) > TOLERANCE_SECONDS) {
    const distance = `${Math.abs(ageSeconds)} s in the ${ageSeconds > 0 ? 'past' : 'future'}`;
    return `webhook-timestamp is ${distance}, by our clock`;
  }
  const expected = secrets.map((secret) => signatureOf(secret, { id, timestamp }, body));
  const isSigned = signatures
    // Node joins repeated header lines with commas.
    .split(/,?[ \t]+/)
    .some((given) => expected.some((signature) => isEqual(given, signature)));
  if (!isSigned) return 'webhook-signature has no signature made with our secret';
  return undefined;
}

function signatureOf(secret: Buffer, attempt: WebhookAttempt, body: string | Buffer): string {
  const { id, timestamp } = attempt;
  const hmac = createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(body);
  return `v1,${hmac.digest('base64')}`;
}

/** Compares as text, not as bytes: base64 has several spellings of the same bytes. */
function isEqual(given: string, expected: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(expected)];
  return left.length === right.length && timingSafeEqual(left, right);
}
