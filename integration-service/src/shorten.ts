/** At most this many characters of a text from outside, and an ellipsis where there is more. */
export function shorten(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most).toWellFormed()}…` : text;
}

/** The names of up to ten fields of a record, in up to 200 characters: what it is, without what is in it. */
export function fieldNames(record: object): string {
  return shorten(Object.keys(record).slice(0, 10).join(', '), 200);
}
