import { idnHostname, punycode, uts46map } from 'idn-hostname';

export type ParsedEmail = { ok: true; email: string } | Refusal;

type Refusal = { ok: false; reason: string };

/**
 * Parses an e-mail address by the rules of email-validator 2.4.0 (Python, as pydantic's `EmailStr` calls
 * it), except for the rules marked "ours". Never throws, and makes no DNS lookups.
 *
 * `email` is the form to store and to compare. Outer white space is removed. The local part is in NFC and
 * keeps its case (ours: also that of `Postmaster` and the other names of RFC 2142). The domain is mapped
 * by UTS #46 and shown in Unicode: ` Jane.Doe@Example.ORG ` gives `Jane.Doe@example.org`,
 * `a@XN--BCHER-KVA.de` gives `a@bücher.de`. `reason` is an English sentence.
 *
 * - Local part: dot-atom of RFC 5322 with the Unicode of RFC 6531. Quoted forms, comments and `Name
 *   <a@b.cc>` are refused. Ours: at most 64 characters, as in email-validator's `strict` mode.
 * - Domain: two or more labels valid by IDNA 2008 (RFC 5890 to 5893), at most 63 characters each in ASCII,
 *   and no IP address. Ours: the last label may end in a digit but must not be all digits, and special-use
 *   names such as `.test` are accepted.
 * - Whole address: at most 254 bytes of UTF-8 as given, as returned, and with the domain in ASCII. Text
 *   over 2,048 UTF-16 units, white space included, is refused without parsing.
 */
export function parseEmail(text: string): ParsedEmail {
  if (text.length > 2048) return refuse('Length must not exceed 2048 characters.');

  // Inner white space is never valid, so splitting at all white space also trims, in linear time.
  const [address = '', ...rest] = text.split(WHITE_SPACE).filter(Boolean);
  if (rest.length > 0) return refuse('An email address cannot contain white space.');
  if (isTooLong(address)) return refuse(TOO_LONG);
  if (UNSAFE.test(address)) return refuse('The email address contains unsafe characters.');
  const at = address.indexOf('@');
  if (at === -1) return refuse('An email address must have an @-sign.');

  const local = parseLocalPart(address.slice(0, at));
  if (!local.ok) return local;
  const domain = parseDomain(address.slice(at + 1));
  if (!domain.ok) return domain;

  const email = `${local.text}@${domain.unicode}`;
  if (isTooLong(email) || isTooLong(`${local.text}@${domain.ascii}`)) return refuse(TOO_LONG);
  return { ok: true, email };
}

/** What Python's `str.strip()` removes: unlike `trim()` also U+001C to U+001F and U+0085, not U+FEFF. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: four of them are white space to Python
const WHITE_SPACE = /[\p{White_Space}\x1c-\x1f]+/u;

/** Control, invisible and unassigned characters, and a mark that would combine with the preceding text. */
const UNSAFE = /\p{C}|(?:^|@)\p{M}/u;

const TOO_LONG = 'The email address is longer than 254 bytes, as given or after normalization.';

function isTooLong(address: string): boolean {
  return Buffer.byteLength(address) > 254;
}

const DOT_ATOM = /^[^"(),.:;<>@[\\\]]+(?:\.[^"(),.:;<>@[\\\]]+)*$/;

function parseLocalPart(given: string): { ok: true; text: string } | Refusal {
  const composed = given.normalize('NFC');
  // NFC can hide a bad character (< with U+0338 becomes ≮) and can produce one (U+037E becomes ;).
  for (const text of [given, composed]) {
    if (!DOT_ATOM.test(text)) {
      return refuse(
        'Before the @-sign, a dot is out of place or a character is invalid or missing.',
      );
    }
    if ([...text].length > 64) {
      return refuse('The part before the @-sign is longer than 64 characters.');
    }
  }
  return { ok: true, text: composed };
}

/**
 * Matches most domains: labels of ASCII letters, digits and inner hyphens, without punycode or its
 * look-alikes. For these, the full rules below would change only the case.
 */
const PLAIN_DOMAIN =
  /^(?!.*(?:^|\.)..--)(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+[a-z](?:[a-z\d-]{0,61}[a-z\d])?$/i;

function parseDomain(given: string): { ok: true; ascii: string; unicode: string } | Refusal {
  if (given.length <= 253 && PLAIN_DOMAIN.test(given)) {
    const domain = given.toLowerCase();
    return { ok: true, ascii: domain, unicode: domain };
  }
  let ascii: string;
  let unicode: string;
  try {
    // Map first, because idnHostname looks for right-to-left letters before it maps `XN--…`.
    ascii = idnHostname(uts46map(given));
    unicode = punycode.toUnicode(ascii);
  } catch {
    return refuse('After the @-sign, there must be a valid domain name.');
  }
  // Zero-width joiners are valid in IDNA 2008 but not here. To find hyphens in third and fourth place,
  // idnHostname counts UTF-16 units, and it misses `x---y`.
  if (UNSAFE.test(unicode) || /(?:^|\.)[^.]{2}--/u.test(unicode)) {
    return refuse('The part after the @-sign contains invalid characters.');
  }
  if (!ascii.includes('.')) return refuse('The part after the @-sign must have a period.');
  if (IP_ADDRESS.test(ascii)) return refuse('The part after the @-sign must not be an IP address.');
  return { ok: true, ascii, unicode };
}

/** A last label of digits, or an IPv4 address with hexadecimal numbers, such as `127.0.0.0x1`. */
const IP_ADDRESS = /\.\d+$|^(?:\d+|0x[\da-f]*)(?:\.(?:\d+|0x[\da-f]*)){1,3}$/;

function refuse(reason: string): Refusal {
  return { ok: false, reason };
}
