import { basicAuthorization } from 'service-kit/basic-authorization';

/** Shorter values are no secrets, and may be words of a message. */
const MIN_LENGTH = 8;

/** As far into a secret it is looked for where it was cut off: nothing shows more of an answer. */
const MAX_CUT = 500;

/**
 * What another system said, for logs and the ledger, without what our call had in its URL: pages of errors
 * and links repeat a key that was sent as a parameter, or the whole request.
 */
export function hideSecrets(text: string, url: URL): string {
  const patterns = secretsOf(url).map(patternOf);
  return patterns.length === 0 ? text : text.replaceAll(new RegExp(patterns.join('|'), 'gi'), '…');
}

function secretsOf(url: URL): string[] {
  const password = decodeURIComponent(url.password);
  const authorization = basicAuthorization(url)?.replace(/^Basic /, '') ?? '';
  const secrets = [...url.searchParams.values(), password, authorization];
  // The longest first: one may be the begin of another.
  return secrets.filter(({ length }) => length >= MIN_LENGTH).sort((a, b) => b.length - a.length);
}

/** A secret in every form in which an answer may repeat it, whole, or cut off with the rest of a text. */
function patternOf(secret: string): string {
  const characters = [...secret].map(spellingsOf);
  const whole = characters.join('');
  const begin = characters.slice(0, MIN_LENGTH).join('');
  const rest = characters
    .slice(MIN_LENGTH, MAX_CUT)
    .reduceRight((behind, each) => `(?:${each}${behind})?`, '');
  return `${whole}|${begin}${rest}(?:%\\w?|\\\\(?:u\\w{0,3})?|&#?\\w{0,6})?…`;
}

/** As it is, or escaped for a URL, for JSON (PHP escapes slashes) or for HTML. */
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

/** A URL that another system named, for a message: of its parameters only the names, and no user. */
export function hideQuery(target: string): string {
  return target.replace(/\/\/[^/?#]*@/, '//').replace(/([?&;][^=&;#]*=)[^&;#]*/g, '$1…');
}
