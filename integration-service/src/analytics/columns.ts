/** The files and their columns, in one place: the header, the rows, the views and the documentation follow it. */

/** `text` is guarded against formulas; a number of ours or of a system is written as it is. */
export type ColumnType = 'text' | 'number';

export interface Column {
  name: string;
  type: ColumnType;
  meaning: string;
}

export type FileName = 'analytics_customers' | 'analytics_inventory' | 'analytics_data';

const text = (name: string, meaning: string): Column => ({ name, type: 'text', meaning });
const number = (name: string, meaning: string): Column => ({ name, type: 'number', meaning });

const SEEN: readonly Column[] = [
  number('revision', 'Counts what was seen of this record, from 1: the highest is the latest.'),
  text('seen_at', 'When this state was first seen, UTC.'),
  text('hash', 'SHA-256 of the record as its system showed it (RFC 8785), in hex.'),
];

export const COLUMNS: Record<FileName, readonly Column[]> = {
  analytics_customers: [
    text('id', "The customer's id."),
    text('name', 'Name.'),
    text('email', 'E-mail address.'),
    text('created_at', 'When the CRM created the customer, as it says.'),
    ...SEEN,
  ],
  analytics_inventory: [
    text('id', "The product's id."),
    text('sku', 'Stock-keeping unit.'),
    text('name', 'Name.'),
    text('category', 'Category.'),
    number('price', 'Price of one, in `currency`.'),
    text('currency', 'Currency, ISO 4217.'),
    number('stock', 'How many there were.'),
    text('updated_at', 'When the product last changed, as the inventory says.'),
    ...SEEN,
  ],
  analytics_data: [
    text('request_id', 'The id of the package request.'),
    text('customer_id', "The customer's id."),
    text('customer_name', 'Name of the customer, as of then.'),
    text('customer_email', 'E-mail address of the customer, as of then.'),
    text('product_sku', 'What was requested.'),
    text('product_name', 'Name of the product, as of then.'),
    number('product_price', 'Price of the product, as of then.'),
    text('product_currency', 'Currency of the price.'),
    text('requested_at', 'When the package was requested, as the inventory says.'),
    number('seconds_to_package', 'Seconds from the creation of the customer to the request.'),
    ...SEEN,
  ],
};

export const FILE_NAMES = Object.keys(COLUMNS) as FileName[];

/** The cells of a row, by column; what is absent is empty. */
export type Cells = Record<string, string | number | null>;
