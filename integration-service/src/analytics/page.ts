import { COLUMNS } from './columns.ts';
import type { ShownFile } from './files/file-table.ts';

/** A file with its last rows; without them, it cannot be read. */
type PreviewedFile = ShownFile & { last: string[][] | undefined };

/** Text as it may stand in HTML, also in an attribute. */
function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

/**
 * The page of the files. It needs no script.
 *
 * @param preview how many rows it shows of each, at the most
 */
export function renderPage(files: readonly PreviewedFile[], preview: number): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Analytics</title>
<style>${STYLE}</style>
<h1>Analytics</h1>
<p>Each row is written once. Only rows that are committed are shown.
The same as <a href="/analytics/files">JSON</a>.</p>
<div class="scroll"><table>
<thead><tr><th scope="col">File<th scope="col" class="number">Rows<th scope="col" class="number">Bytes<th scope="col">Last change (UTC)<th scope="col">Download</thead>
<tbody>${files.map(summaryOf).join('')}</tbody>
</table></div>
${files.map((file) => sectionOf(file, preview)).join('\n')}
</html>
`;
}

function summaryOf({ name, rows, length, changedAt }: PreviewedFile): string {
  const time = new Date(changedAt).toISOString();
  const url = `/analytics/files/${name}.csv`;
  return `<tr><th scope="row"><a href="#${name}">${name}.csv</a>
<td class="number">${rows.toLocaleString('en')}<td class="number">${length.toLocaleString('en')}
<td><time datetime="${time}">${time.slice(0, 19).replace('T', ' ')}</time>
<td><a href="${url}">CSV</a> · <a href="${url}?bom=true">for Excel</a>`;
}

function sectionOf({ name, rows, last }: PreviewedFile, preview: number): string {
  const title = `<h2 id="${name}">${name}.csv</h2>`;
  if (!last)
    return `${title}<p>The file cannot be read now: see the log, or <a href="/readyz">/readyz</a>.</p>`;
  if (last.length === 0) return `${title}<p>No rows yet.</p>`;
  const columns = COLUMNS[name];
  const which = rows > last.length ? `The last ${last.length} rows` : 'All rows';
  const cells = (row: readonly string[]) =>
    row
      .map(
        (cell, i) =>
          `<td${columns[i]?.type === 'number' ? ' class="number"' : ''}>${escapeHtml(cell)}`,
      )
      .join('');
  return `${title}
<p>${which}, the newest first${rows > preview ? '; the file has all' : ''}.</p>
<div class="scroll"><table>
<thead><tr>${columns.map((column) => `<th scope="col" title="${escapeHtml(column.meaning)}">${column.name}`).join('')}</thead>
<tbody>${last
    .toReversed()
    .map((row) => `<tr>${cells(row)}`)
    .join('\n')}</tbody>
</table></div>`;
}

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 90rem; padding: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; }
th, td { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; }
th, td { white-space: nowrap; }
td { max-width: 20rem; overflow: hidden; text-overflow: ellipsis; }
.number { font-variant-numeric: tabular-nums; text-align: right; }
`;
