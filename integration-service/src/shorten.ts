/** The first `most` characters of a text from outside, and an ellipsis if the text is longer. */
export function shorten(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most).toWellFormed()}…` : text;
}

/** The names of up to ten fields of a record, in up to 200 characters: they show its kind, but no content. */
export function fieldNames(record: object): string {
  return shorten(Object.keys(record).slice(0, 10).join(', '), 200);
}
