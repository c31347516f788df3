import { escapeControls } from 'service-kit/escape-controls';
import { print } from 'service-kit/terminal';

/** Prints a table with aligned columns, each row on one line. */
export function printTable(columns: readonly string[], rows: readonly (readonly string[])[]): void {
  const lines = [columns, ...rows].map((cells) => cells.map((cell) => escapeControls(cell)));
  const widths = columns.map((_, i) =>
    lines.reduce((widest, cells) => Math.max(widest, cells[i]?.length ?? 0), 0),
  );
  for (const cells of lines) {
    print(
      cells
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  }
}
