/** At most this many characters of a text from outside, and an ellipsis where there is more. */
export function shorten(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most).toWellFormed()}…` : text;
}
