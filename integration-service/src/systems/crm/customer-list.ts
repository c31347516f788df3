import { z } from 'zod';
import { type UnusableRecord, unusableRecord } from '../../delivery/ledger/record-identity.ts';
import { createCompressedLines } from '../compressed-lines.ts';
import { idFlaw } from '../customer-id.ts';

/** The fields of a customer that this service needs; a CRM may send more. */
export interface Customer {
  id: string;
  name: string;
}

/** The customers of one poll, kept as compressed text: a million of them take 30 MB. */
export interface CustomerList extends Iterable<Customer> {
  /** The size of the text, uncompressed. */
  readonly byteLength: number;
  /** The first thousand records that are not customers. */
  readonly unusable: UnusableRecord[];
  readonly unusableCount: number;
  /**
   * Adds a whole page, or nothing if reading the page throws; returns how many records the page has, and the
   * id of its first customer.
   */
  addPage(records: AsyncIterable<unknown>): Promise<{ count: number; first: string | undefined }>;
}

/** A list that has only unusable records must not fill the memory. */
const MAX_UNUSABLE = 1_000;

const recordSchema = z.looseObject({ name: z.string().catch('unnamed') });

export function createCustomerList(): CustomerList {
  const pages: Iterable<string>[] = [];
  const unusable: UnusableRecord[] = [];
  let count = 0;
  let unusableCount = 0;
  let byteLength = 0;

  return {
    get byteLength() {
      return byteLength;
    },
    unusable,
    get unusableCount() {
      return unusableCount;
    },
    async addPage(records) {
      const page = createCompressedLines();
      const unusableOfPage: UnusableRecord[] = [];
      let position = count;
      let usable = 0;
      let first: string | undefined;
      for await (const record of records) {
        const customer = parseRecord(record);
        if (typeof customer !== 'string') {
          first ??= customer.id;
          page.add(JSON.stringify([customer.id, customer.name]));
          usable += 1;
        } else if (unusableOfPage.length < MAX_UNUSABLE) {
          unusableOfPage.push(unusableRecord(record, position, customer));
        }
        position += 1;
      }
      const countOfPage = position - count;
      pages.push(page);
      unusable.push(...unusableOfPage.slice(0, MAX_UNUSABLE - unusable.length));
      unusableCount += countOfPage - usable;
      byteLength += page.byteLength;
      count = position;
      return { count: countOfPage, first };
    },
    *[Symbol.iterator]() {
      for (const page of pages) {
        for (const line of page) {
          const [id, name] = JSON.parse(line);
          yield { id, name };
        }
      }
    },
  };
}

/** The customer in a record, or the reason why the record is not a customer. */
export function parseRecord(record: unknown): Customer | string {
  const { data } = recordSchema.safeParse(record);
  if (!data) return 'it is no object';
  return idFlaw(data.id) ?? { id: data.id as string, name: data.name };
}
