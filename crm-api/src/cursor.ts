import { InvalidRequestError } from 'service-kit/validation';

/** What a cursor looks like. */
export const CURSOR = /^([0-9a-f]{12})-(\d{1,15})$/;

/** Where a list goes on after its first `position` records. Clients take it as it is. */
export function cursorAt(epoch: string, position: number): string {
  return `${epoch}-${position}`;
}

/**
 * The position that a cursor stands for; 0 if it is of another epoch: the store was emptied since, and
 * the client has seen nothing of this one.
 *
 * @throws {InvalidRequestError} if there never was such a cursor
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
