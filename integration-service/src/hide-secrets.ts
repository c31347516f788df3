import { basicAuthorization } from 'service-kit/basic-authorization';

/** Shorter values are no secrets, and may be words of a message. */
const MIN_LENGTH = 8;

/**
 * What another system said, for logs and the ledger, without what our call had in its URL: pages of errors
 * and links repeat a key that was sent as a parameter, or the whole request.
 */
export function hideSecrets(text: string, url: URL): string {
  return secretsOf(url).reduce((rest, secret) => {
    const hidden = rest.replaceAll(secret, '…');
    // Of a text that was shortened, it may be cut off.
    for (let length = secret.length - 1; length >= MIN_LENGTH; length--) {
      const begin = `${secret.slice(0, length)}…`;
      if (hidden.includes(begin)) return hidden.replaceAll(begin, '…');
    }
    return hidden;
  }, text);
}

/** In every form in which an answer may repeat them. */
function secretsOf(url: URL): string[] {
  const written = url.search
    .slice(1)
    .split('&')
    .map((part) => part.replace(/^[^=]*=?/, ''));
  const password = decodeURIComponent(url.password);
  const authorization = basicAuthorization(url)?.replace(/^Basic /, '') ?? '';
  const secrets = [...url.searchParams.values(), ...written, password, authorization]
    .flatMap((value) => [
      value,
      encodeURIComponent(value),
      value.replaceAll('/', '\\/'),
      inHtml(value),
    ])
    .filter((value) => value.length >= MIN_LENGTH);
  // The longest first: one may be the begin of another.
  return [...new Set(secrets)].sort((a, b) => b.length - a.length);
}

function inHtml(value: string): string {
  return value
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** A URL that another system named, for a message: of its parameters only the names, and no user. */
export function hideQuery(target: string): string {
  return target.replace(/\/\/[^/?#]*@/, '//').replace(/([?&;][^=&;#]*=)[^&;#]*/g, '$1…');
}
