/** What the three sources show, as the cells of the files. */
import { nameFlaw } from '../delivery/delivery.ts';
import { canonicalId, idFlaw } from '../systems/customer-id.ts';
import type { Cells, FileName } from './columns.ts';

export type Kind = 'customer' | 'product' | 'package-request';

/** A record that can be used. */
export interface SourceRecord {
  kind: Kind;
  id: string;
  /** The customer's id; of a product, `product/<id>`. */
  lane: string;
  cells: Cells;
}

interface KindRules {
  file: FileName;
  /** The field that has the id. */
  id: string;
  laneOf(record: Fields): string;
  /** The field of each cell. */
  fields: Record<string, string>;
}
type Fields = Record<string, unknown>;

const sameName = (...names: string[]) => Object.fromEntries(names.map((name) => [name, name]));

export const KINDS: Record<Kind, KindRules> = {
  customer: {
    file: 'analytics_customers',
    id: 'id',
    laneOf: ({ id }) => canonicalId(String(id)),
    fields: sameName('name', 'email', 'created_at'),
  },
  product: {
    file: 'analytics_inventory',
    id: 'id',
    laneOf: ({ id }) => `product/${id}`,
    fields: sameName('sku', 'name', 'category', 'price', 'currency', 'stock', 'updated_at'),
  },
  'package-request': {
    file: 'analytics_data',
    id: 'request_id',
    laneOf: ({ customer_id: id }) => canonicalId(String(id)),
    fields: {
      ...sameName('customer_id'),
      ...{ product_sku: 'package_type', requested_at: 'created_at' },
    },
  },
};

/** The kind of record that a file has rows of. */
export function kindOf(name: FileName): Kind {
  return (Object.keys(KINDS) as Kind[]).find((kind) => KINDS[kind].file === name) as Kind;
}

/** The record as its cells, or why it cannot be used. */
export function parseRecord(kind: Kind, record: unknown): SourceRecord | string {
  if (record === null || typeof record !== 'object' || Array.isArray(record))
    return 'it is no object';
  const fields = record as Fields;
  const rules = KINDS[kind];
  const flaw = idFlaw(fields[rules.id]);
  if (flaw) return flaw;
  const id = canonicalId(String(fields[rules.id]));
  if (kind === 'package-request') {
    const whose = idFlaw(fields.customer_id);
    if (whose) return `of its customer, ${whose}`;
  }
  const lane = rules.laneOf({ ...fields, [rules.id]: id });
  const laneFlaw = nameFlaw(lane);
  if (laneFlaw) return `its lane ${laneFlaw}`;
  const cells: Cells = { [rules.id]: id };
  for (const [cell, field] of Object.entries(rules.fields)) cells[cell] = cellOf(fields[field]);
  if (kind === 'package-request') cells.customer_id = lane;
  return { kind, id, lane, cells };
}

/** A value as a cell: a number stays one; what a file or PostgreSQL cannot store is replaced. */
function cellOf(value: unknown): string | number | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'number') return value;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}
