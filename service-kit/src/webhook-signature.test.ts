import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { signWebhook, verifyWebhook, webhookSecretsSchema } from './webhook-signature.ts';

/** The test vector of the Standard Webhooks libraries. */
const VECTOR = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: 1_614_265_330,
  body: Buffer.from('{"test": 2432232314}'),
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
};
const OTHER = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';

const { id, timestamp, body, signature } = VECTOR;
const NOW = timestamp * 1_000;
const secretsOf = (text: string) => webhookSecretsSchema.parse(text);
const secrets = secretsOf(VECTOR.secret);

const headers = {
  'webhook-id': id,
  'webhook-timestamp': String(timestamp),
  'webhook-signature': signature,
};
type Headers = Record<string, string | string[] | undefined>;
const verify = (changed: Headers = {}, now = NOW, sent = body, by = secrets) =>
  verifyWebhook(by, { ...headers, ...changed }, sent, now);

describe('the signature of a webhook', () => {
  it('is that of the test vector', () => {
    expect(signWebhook(secrets, { id, timestamp }, body)).toEqual(headers);
    expect(verify()).toBeUndefined();
  });

  it('is one for each secret, as the library of Standard Webhooks makes and takes it', () => {
    const both = secretsOf(`${OTHER} ${VECTOR.secret}`);
    const now = Math.floor(Date.now() / 1_000);
    const signed = signWebhook(both, { id, timestamp: now }, '{"é":1}');
    expect(signed['webhook-signature'].split(' ')).toEqual(
      [OTHER, VECTOR.secret].map((secret) =>
        new Webhook(secret).sign(id, new Date(now * 1_000), '{"é":1}'),
      ),
    );
    for (const secret of [OTHER, VECTOR.secret]) {
      expect(new Webhook(secret).verify('{"é":1}', signed)).toEqual({ é: 1 });
    }
  });

  it('counts when it is any of several, made with any of two secrets', () => {
    const junk = `v1,${Buffer.alloc(32).toString('base64')}`;
    const several = ['v1a,abc', junk, signature.replace('v1', 'v2'), signature, junk].join(' ');
    expect(verify({ 'webhook-signature': several })).toBeUndefined();
    // Node joins separate header lines like this.
    expect(verify({ 'webhook-signature': `${junk}, ${signature}, ${junk}` })).toBeUndefined();
    expect(verify({}, NOW, body, secretsOf(`${OTHER},${VECTOR.secret}`))).toBeUndefined();
    expect(verify({}, NOW, body, secretsOf(OTHER))).toEqual(expect.any(String));
  });

  it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])(
    'does not count without %s',
    (name) => {
      expect(verify({ [name]: undefined })).toBe(
        'webhook-id, webhook-timestamp and webhook-signature must be there',
      );
      expect(verify({ [name]: '' })).toEqual(expect.any(String));
    },
  );

  it.each([
    ['another version', signature.replace('v1', 'v2')],
    ['no version', signature.slice(3)],
    ['its begin alone', signature.slice(0, 8)],
    ['nothing after the version', 'v1,'],
    ['another spelling of the same bytes', signature.replace('OE=', 'OF=')],
    ['no padding', signature.slice(0, -1)],
    ['the other base64 alphabet', signature.replace('+', '-').replace('/', '_')],
    ['something after it', `${signature},`],
  ])('does not count with %s', (_, changed) => {
    expect(verify({ 'webhook-signature': changed })).toBe(
      'webhook-signature has no signature made with our secret',
    );
  });

  it.each([
    ['300 s ago', 300_999, true],
    ['301 s ago', 301_000, false],
    ['300 s ahead', -300_000, true],
    ['301 s ahead', -300_001, false],
  ])('made %s: %s ms from now: %s', (_, age, isValid) => {
    expect(verify({}, NOW + age) === undefined).toBe(isValid);
  });

  it.each([
    'hello',
    '',
    ` ${timestamp}`,
    `+${timestamp}`,
    `0${timestamp}`,
    `${timestamp}.0`,
    `${timestamp}abc`,
    '1e9',
    '0x60377f32',
  ])('does not count at a time like %j', (text) => {
    expect(verify({ 'webhook-timestamp': text })).toEqual(expect.any(String));
  });

  it('does not count for what moves the border between id, time and body', () => {
    const sent = Buffer.from(`${timestamp}.{"a":1}`);
    const signed = signWebhook(secrets, { id, timestamp }, sent);
    expect(verify({ ...signed }, NOW, sent)).toBeUndefined();
    const moved = { ...signed, 'webhook-id': `${id}.${timestamp}` };
    expect(verify(moved, NOW, Buffer.from('{"a":1}'))).toEqual(expect.any(String));
  });
});

describe('WEBHOOK_SECRET', () => {
  const raw = (bytes: number) => Buffer.alloc(bytes, 'k').toString('base64');

  it.each([
    [VECTOR.secret, 1],
    [VECTOR.secret.replace('whsec_', ''), 1],
    [raw(24), 1],
    [`whsec_${raw(25).replace('=', '')}`, 1],
    [`whsec_${raw(64)}`, 1],
    [`${VECTOR.secret} ${OTHER}`, 2],
    [`${VECTOR.secret}, ${OTHER}`, 2],
  ])('may be %s', (text, count) => {
    expect(secretsOf(text)).toHaveLength(count);
  });

  it.each([
    '',
    'whsec_',
    'change-me-please',
    'a password of five words!',
    `whsec_${raw(23)}`,
    `whsec_${raw(65)}`,
    `whpk_${raw(32)}`,
    `${raw(32)}*`,
    `${VECTOR.secret} `,
    `${VECTOR.secret} ${OTHER} ${VECTOR.secret}`,
  ])('may not be %j, and the message does not show it', (text) => {
    const [issue, ...more] = webhookSecretsSchema.safeParse(text).error?.issues ?? [];
    expect(more).toEqual([]);
    expect(issue?.message).toMatch(/^must be one secret, or two.* with a blank .*openssl rand/);
    if (text.length > 6) expect(issue?.message).not.toContain(text.trim());
  });
});
