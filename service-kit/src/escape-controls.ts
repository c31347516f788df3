/**
 * C0, DEL and C1; what separates lines or paragraphs; what turns the direction of text; the byte order mark.
 * A terminal obeys them, or shows a text as another one.
 */
const CONTROLS = /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * A text from outside for a terminal or a log: what a terminal would obey is shown as JSON would write it, `\n`
 * or `\u001b`. Of JSON on one line, the result is JSON for the same value.
 *
 * @param kept characters that stay as they are. Default: none
 */
export function escapeControls(text: string, kept = ''): string {
  return text.replace(CONTROLS, (char) => {
    if (kept.includes(char)) return char;
    const json = JSON.stringify(char).slice(1, -1);
    return json === char ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}` : json;
  });
}
