/**
 * C0, DEL and C1; line and paragraph separators; characters that change the text direction; the byte order
 * mark. A terminal obeys these characters or shows a different text because of them.
 */
const CONTROLS = /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * Makes text from outside safe for a terminal or a log: control characters are written as in JSON, `\n` or
 * `\u001b`. If the text is JSON on one line, the result is JSON for the same value.
 *
 * @param kept characters that are not escaped. Default: none
 */
export function escapeControls(text: string, kept = ''): string {
  return text.replace(CONTROLS, (char) => {
    if (kept.includes(char)) return char;
    const json = JSON.stringify(char).slice(1, -1);
    return json === char ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}` : json;
  });
}
