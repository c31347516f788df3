import type { CellOptions, CellResult } from './cell.ts';
import { runEventCell } from './event-cell.ts';
import { killInTurn } from './kill-in-turn.ts';
import { killOften } from './kill-often.ts';
import { killOneOfMany } from './kill-one-of-many.ts';
import { type Cell, isPointCell } from './setting.ts';

/**
 * Runs cells one after the other and counts packages at the inventory.
 *
 * @param cells one cell, or several as `groupCells` groups them
 */
export async function runCells(cells: Cell[], options: CellOptions): Promise<CellResult[]> {
  const points = cells.filter(isPointCell);
  const results: CellResult[] = [];
  for (const cell of cells) {
    if (cell.source !== 'poll') results.push(await runEventCell(cell, options));
    else if (typeof cell.kills === 'number')
      results.push(await killOften(cell, cell.kills, options));
  }
  if (options.replicas === 1 && points.length > 0)
    results.push(...(await killInTurn(points, options)));
  if (options.replicas > 1)
    for (const cell of points) results.push(await killOneOfMany(cell, options));
  return results;
}
