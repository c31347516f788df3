import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from './runs.ts';
import { ALICE } from './support.ts';
import { eventOf, setUpWebhooks } from './webhooks.ts';

describe('requests that were changed on their way', () => {
  /**
   * Changes a text once: a character is replaced, inserted or removed, the end is repeated, or the whole
   * text is replaced.
   */
  const changed = (text: string) =>
    fc
      .tuple(
        fc.constantFrom('replace', 'insert', 'remove', 'duplicate', 'other'),
        fc.nat(text.length - 1),
        fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
        fc.stringMatching(/^[!-~]{0,50}$/),
      )
      .map(([how, at, char, other]) => {
        const [before, after] = [text.slice(0, at), text.slice(at + 1)];
        if (how === 'replace') return before + char + after;
        if (how === 'insert') return before + char + text.slice(at);
        if (how === 'remove') return before + after;
        if (how === 'duplicate') return `${text}${text.slice(at)}`;
        return other;
      })
      .filter((result) => result !== text);

  it('are all refused', async () => {
    const at = Date.now();
    const { post, sign, keysOf } = await setUpWebhooks({ now: () => at });
    const body = eventOf(ALICE);
    const headers = sign(body, { at });
    const signature = headers['webhook-signature'];
    const mutation = fc.oneof(
      changed(body).map((body) => ({ body, headers })),
      ...Object.entries(headers).map(([name, value]) =>
        // Additional signatures beside the right one are allowed, so skip them.
        changed(value)
          .filter((text) => !text.split(' ').includes(signature))
          .map((text) => ({ body, headers: { ...headers, [name]: text } })),
      ),
      fc
        .constantFrom(...Object.keys(headers))
        .map((gone) => ({ body, headers: { ...headers, [gone]: '' } })),
    );
    await fc.assert(
      fc.asyncProperty(mutation, async (request) => {
        expect((await post(request.headers, request.body)).statusCode).toBe(401);
      }),
      { numRuns: runs(200), endOnFailure: true },
    );
    expect(await keysOf('pending')).toEqual([]);
    expect((await post(headers, body)).statusCode).toBe(202);
  }, 120_000);
});
