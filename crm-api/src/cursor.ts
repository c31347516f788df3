import { InvalidRequestError } from 'service-kit/validation';

/** The format of a cursor: epoch, hyphen, position. */
export const CURSOR = /^([0-9a-f]{12})-(\d{1,15})$/;

/** The cursor for the rest of a list after its first `position` records. It is opaque to clients. */
export function cursorAt(epoch: string, position: number): string {
  return `${epoch}-${position}`;
}

/**
 * The position that a cursor stands for. It is 0 if the cursor is of another epoch: the store has been
 * emptied since, and the client has seen none of the current records.
 *
 * @throws {InvalidRequestError} if the list cannot have issued this cursor
 */
export function positionOf(cursor: string, list: { epoch: string; length: number }): number {
  const [, epoch, digits] = CURSOR.exec(cursor) ?? [];
  const position = Number(digits);
  if (epoch === undefined || (epoch === list.epoch && position > list.length)) {
    throw new InvalidRequestError([
      {
        type: 'value_error',
        loc: ['query', 'after'],
        msg: 'Input should be a cursor from the Link header of this list',
        input: cursor,
      },
    ]);
  }
  return epoch === list.epoch ? position : 0;
}
