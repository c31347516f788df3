import { z } from 'zod';
import { createSpool, type Spool } from '../spool.ts';
import { idFlaw } from './customer-id.ts';
import { type UnusableRecord, unusableRecord } from './unusable-records.ts';

/** What this service needs of a customer; a CRM may say more. */
export interface Customer {
  id: string;
  name: string;
}

/** The customers that a poll brought, as text: a million of them take 30 MB. */
export interface CustomerList extends Iterable<Customer> {
  readonly byteLength: number;
  /** The first thousand records that are no customers. */
  readonly unusable: UnusableRecord[];
  readonly unusableCount: number;
  /**
   * Adds a page, all of it or, when reading it throws, nothing; returns how many records it has, and the
   * id of the first customer among them.
   */
  addPage(records: AsyncIterable<unknown>): Promise<{ count: number; first: string | undefined }>;
}

/** A list of nothing else must not fill the memory. */
const MAX_UNUSABLE = 1_000;

const recordSchema = z.looseObject({ name: z.string().catch('unnamed') });

export function createCustomerList(): CustomerList {
  const pages: Spool[] = [];
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
      const page = createSpool();
      const unusableOfPage: UnusableRecord[] = [];
      let position = count;
      let first: string | undefined;
      for await (const record of records) {
        const customer = parseRecord(record);
        if (typeof customer !== 'string') {
          first ??= customer.id;
          page.add(JSON.stringify([customer.id, customer.name]));
        } else if (unusableOfPage.length < MAX_UNUSABLE) {
          unusableOfPage.push(unusableRecord(record, position, customer));
        }
        position += 1;
      }
      const countOfPage = position - count;
      pages.push(page);
      unusable.push(...unusableOfPage.slice(0, MAX_UNUSABLE - unusable.length));
      unusableCount += countOfPage - page.length;
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

/** The customer that a record is, or why it is none. */
export function parseRecord(record: unknown): Customer | string {
  const { data } = recordSchema.safeParse(record);
  if (!data) return 'it is no object';
  return idFlaw(data.id) ?? { id: data.id as string, name: data.name };
}
