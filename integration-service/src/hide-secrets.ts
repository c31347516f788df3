/** Shorter values are no secrets, and may be words of a message. */
const MIN_LENGTH = 8;

/**
 * What another system said, for logs and the ledger, without what our call had in its URL: pages of errors
 * and links repeat a key that was sent as a parameter.
 */
export function hideSecrets(text: string, url: URL): string {
  const values = [...url.searchParams.values(), decodeURIComponent(url.password)];
  const written = url.search
    .slice(1)
    .split('&')
    .map((part) => part.replace(/^[^=]*=?/, ''));
  const secrets = [...values, ...written]
    .flatMap((value) => [value, encodeURIComponent(value)])
    .filter((value) => value.length >= MIN_LENGTH)
    // The longest first: one may be the begin of another.
    .sort((a, b) => b.length - a.length);
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '…'), text);
}

/** A URL that another system named, for a message: of its parameters only the names, and no user. */
export function hideQuery(target: string): string {
  return target.replace(/\/\/[^/?#]*@/, '//').replace(/([?&;][^=&;#]*=)[^&;#]*/g, '$1…');
}
