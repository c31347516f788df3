/** The `Authorization` header for the user name and password in a URL; `undefined` if it has neither. */
export function basicAuthorization({ username, password }: URL): string | undefined {
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return user === ':' ? undefined : `Basic ${Buffer.from(user).toString('base64')}`;
}
