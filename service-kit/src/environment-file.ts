/** The variables of a `.env` in the order of its lines, and its problems, one line per problem. */
export interface EnvironmentFile {
  values: Record<string, string>;
  problems: string[];
}

const ASSIGNMENT = /^[ \t]*(?:export[ \t]+)?(?!export\b)([A-Za-z_][\w.-]*)[ \t]*=[ \t]*(.*)$/s;

/**
 * Reads a `.env` as Docker Compose, which gets the same file, reads it. Lines that other readers or
 * versions of Compose read differently are refused, with a reason that shows nothing of the value: reading
 * them differently could lose a password or take half of it.
 *
 * - `NAME=value`; a preceding `export`, and blanks around the name and the value, are ignored
 * - `'value'` is taken literally; so is `"value"`, but it must contain no `$` and no backslash
 * - a `#` at the beginning of a line, after a blank or after a closing quote begins a comment
 * - if lines have the same name, the last one counts
 */
export function parseEnvironmentFile(text: string): EnvironmentFile {
  const values: Record<string, string> = {};
  const problems: string[] = [];
  // Remove the byte order mark with which some editors begin a file.
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  for (const [i, line] of lines.entries()) {
    const refuse = (reason: string) => problems.push(`line ${i + 1}: ${reason}`);
    const unreadable = unreadableCharacter(line);
    if (unreadable) {
      refuse(unreadable);
      continue;
    }
    if (/^[ \t]*(#|$)/.test(line)) continue;
    const [, name, written] = ASSIGNMENT.exec(line) ?? [];
    if (name === undefined || written === undefined) {
      refuse('is neither NAME=value nor a comment');
      continue;
    }
    const read = parseValue(written);
    if ('value' in read) values[name] = read.value;
    else refuse(`${name} ${read.reason}`);
    // The lines after it may be meant as part of the value.
    if (read === UNCLOSED) break;
  }
  return { values, problems };
}

type Value = { value: string } | { reason: string };

const UNCLOSED: Value = { reason: 'has a quote that is not closed on its line' };
const ESCAPED: Value = {
  reason: 'has a backslash before a single quote, which may or may not end it',
};
const UNCLEAR: Value = {
  reason: 'has a $ or a backslash that Docker Compose would expand: put the value in single quotes',
};

function parseValue(written: string): Value {
  const quote = written[0];
  if (quote === "'" || quote === '"') {
    const [, value, rest] =
      new RegExp(`^${quote}([^${quote}]*)${quote}(.*)$`, 's').exec(written) ?? [];
    if (value === undefined || rest === undefined) return UNCLOSED;
    if (quote === "'" && value.endsWith('\\')) return ESCAPED;
    if (quote === '"' && /[$\\]/.test(value)) return UNCLEAR;
    if (/^[ \t]*(#|$)/.test(rest)) return { value };
    return { reason: 'has something behind its closing quote' };
  }
  if (/^#|\t#/.test(written)) {
    return { reason: 'has a # that may begin a comment or not: put the value in quotes' };
  }
  const value = written.replace(/ #.*$/s, '').replace(/[ \t]+$/, '');
  if (value.includes('$')) return UNCLEAR;
  const space = /(?![ \t])\s/u.exec(value)?.[0];
  if (space) return { reason: `has ${codePoint(space)}, a blank that not everybody takes for one` };
  return { value };
}

/** Why a line cannot be read as text, whether it is a comment or not; falsy if it can. */
function unreadableCharacter(line: string): string | undefined {
  if (line.includes('\uFFFD')) return 'is not UTF-8';
  if (line.includes('\r')) return 'has a carriage return (CR) that is not the end of a line';
  const control = /(?!\t)\p{Cc}/u.exec(line)?.[0];
  return control && `has the control character ${codePoint(control)}`;
}

function codePoint(char: string): string {
  return `U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
}
