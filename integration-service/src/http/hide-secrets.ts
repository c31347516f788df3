import { basicAuthorization } from 'service-kit/basic-authorization';

/** Shorter values are not treated as secrets, because they may be words of a message. */
const MIN_LENGTH = 8;

/** A secret that was cut off is found up to this many characters: no message shows more of an answer. */
const MAX_CUT = 500;

/**
 * Removes the secrets of our URL from a text of another system, for logs and the ledger: error pages and
 * links repeat a key that was sent as a parameter, or the whole request.
 */
export function hideSecrets(text: string, url: URL): string {
  const patterns = secretsOf(url).map(patternOf);
  return patterns.length === 0 ? text : text.replaceAll(new RegExp(patterns.join('|'), 'gi'), '…');
}

function secretsOf(url: URL): string[] {
  const password = decodeURIComponent(url.password);
  const authorization = basicAuthorization(url)?.replace(/^Basic /, '') ?? '';
  const secrets = [...url.searchParams.values(), password, authorization];
  // The longest first, because one secret may be the start of another.
  return secrets.filter(({ length }) => length >= MIN_LENGTH).sort((a, b) => b.length - a.length);
}

/** Matches a secret in every form in which an answer may repeat it: whole, or cut off where a text ends. */
function patternOf(secret: string): string {
  const characters = [...secret].map(spellingsOf);
  const whole = characters.join('');
  const begin = characters.slice(0, MIN_LENGTH).join('');
  const rest = characters
    .slice(MIN_LENGTH, MAX_CUT)
    .reduceRight((behind, each) => `(?:${each}${behind})?`, '');
  return `${whole}|${begin}${rest}(?:%\\w?|\\\\(?:u\\w{0,3})?|&#?\\w{0,6})?…`;
}

/** A character as it is, or escaped for a URL, for JSON (PHP escapes slashes) or for HTML. */
function spellingsOf(character: string): string {
  if (/\w/.test(character)) return character;
  const code = character.charCodeAt(0).toString(16);
  const spellings = [
    `\\\\?${RegExp.escape(character)}`,
    RegExp.escape(encodeURIComponent(character)),
    `%${code.padStart(2, '0')}`,
    `\\\\u${code.padStart(4, '0')}`,
    '&#?\\w{2,6};',
    ...(character === ' ' ? ['\\+'] : []),
  ];
  return `(?:${spellings.join('|')})`;
}

/** A URL that another system named, for a message: without parameter values and without a user. */
export function hideQuery(target: string): string {
  return target.replace(/\/\/[^/?#]*@/, '//').replace(/([?&;][^=&;#]*=)[^&;#]*/g, '$1…');
}
