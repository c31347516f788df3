import { randomUUID } from 'node:crypto';
import { createRecordList, type JsonArray } from 'service-kit/record-list';
import type { PackageRequest, PackageRequestCreate } from './package-request.ts';

/** Created, replayed (the key and the input are known), or refused: the key was used for another input. */
export type CreateResult =
  | { outcome: 'created' | 'replayed'; json: string }
  | { outcome: 'key_reused' };

export interface PackageRequestStore {
  /**
   * Stores a new package request. A request with an idempotency key is stored only once: the same key and
   * input return the package request of the first call. This holds for simultaneous calls, too, because
   * the method is synchronous. Keys are kept as long as the package requests.
   */
  create(input: PackageRequestCreate, idempotencyKey?: string): CreateResult;
  /** All package requests, or those of one customer, in order of creation. */
  list(customerId?: string): JsonArray;
}

export interface PackageRequestStoreOptions {
  /** Turns a package request into JSON text; called once per package request. */
  serialize: (request: PackageRequest) => string;
  /** Called once with each package request that is stored. Default: nobody is told. */
  onCreated?: (request: PackageRequestCreate) => void;
}

/** Keeps package requests in memory; they are lost when the process ends. */
export function createPackageRequestStore({
  serialize,
  onCreated,
}: PackageRequestStoreOptions): PackageRequestStore {
  const records = createRecordList();
  /** Positions in the list; for most customers a single number. */
  const byCustomer = new Map<string, number | number[]>();
  const byKey = new Map<string, number>();

  return {
    create({ customer_id, package_type }, idempotencyKey) {
      const first = idempotencyKey === undefined ? undefined : byKey.get(idempotencyKey);
      if (first !== undefined) {
        const json = records.at(first);
        const known: PackageRequest = JSON.parse(json);
        const isSame = known.customer_id === customer_id && known.package_type === package_type;
        return isSame ? { outcome: 'replayed', json } : { outcome: 'key_reused' };
      }
      const json = serialize({
        customer_id,
        package_type,
        request_id: randomUUID(),
        status: 'pending',
        created_at: new Date().toISOString(),
      });
      const position = records.append(json);
      const others = byCustomer.get(customer_id);
      if (Array.isArray(others)) others.push(position);
      else byCustomer.set(customer_id, others === undefined ? position : [others, position]);
      if (idempotencyKey !== undefined) byKey.set(idempotencyKey, position);
      onCreated?.({ customer_id, package_type });
      return { outcome: 'created', json };
    },
    list(customerId) {
      if (customerId === undefined) return records.slice(0);
      return records.pick([byCustomer.get(customerId) ?? []].flat());
    },
  };
}
