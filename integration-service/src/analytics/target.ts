/** The files, as the target of a flow: rows that reach them exactly once. */
import type { Claim } from '../delivery/delivery.ts';
import type { Outcome } from '../delivery/outcome.ts';
import type { Target } from '../delivery/target.ts';
import type { Cells } from './columns.ts';
import type { FilesWriter, Place, Row } from './files/writer.ts';
import { KINDS, type Kind } from './record.ts';

/** A batch is cut where it grows beyond this; what is behind comes with the next. */
const MAX_BATCH_CHARACTERS = 16_000_000;

export function createFilesTarget(writer: FilesWriter): Target {
  return {
    name: 'files',
    isRepeatable: false,
    // What is not committed is cut off before the next batch: then it was never there.
    lookUpAfterMs: [0],
    lookUp: async () => new Map(),
    mayWrite: () => writer.isReady(),
    problem: () => writer.problem(),
    close: () => writer.close(),
    async send(batch, { onSend }) {
      const fitting = takeFitting(batch);
      onSend();
      try {
        const { places, together } = await writer.append(fitting.map(rowOf));
        const outcomes = batch.map((_, i): Outcome => {
          const place = places[i];
          return place
            ? { kind: 'delivered', targetId: nameOf(place) }
            : { kind: 'aborted', reason: 'the batch was full' };
        });
        return { outcomes, together };
      } catch (error) {
        const outcome: Outcome = { kind: 'transient', reason: (error as Error).message };
        return { outcomes: batch.map(() => outcome) };
      }
    },
  };
}

/** The deliveries of a batch that are written together: at least one. */
function takeFitting(batch: readonly Claim[]): readonly Claim[] {
  let size = 0;
  const end = batch.findIndex(({ payload }, i) => {
    size += payload.length;
    return i > 0 && size > MAX_BATCH_CHARACTERS;
  });
  return end < 0 ? batch : batch.slice(0, end);
}

function rowOf({ key, payload }: Claim): Row {
  const kind = key.slice(0, key.indexOf('/')) as Kind;
  return { file: KINDS[kind].file, cells: JSON.parse(payload) as Cells };
}

/** Where a row is, for people. */
function nameOf({ file, row, offset }: Place): string {
  return `${file}.csv, row ${row}, byte ${offset}`;
}
