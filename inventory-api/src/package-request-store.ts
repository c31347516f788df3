import { randomUUID } from 'node:crypto';
import type { PackageRequest, PackageRequestCreate } from './package-request.ts';

/** What came of a request to create: a new one, the one its key stands for, or a key of another. */
export type CreateResult =
  | { outcome: 'created' | 'replayed'; request: PackageRequest }
  | { outcome: 'key_reused' };

export interface PackageRequestStore {
  /**
   * Stores a new package request. With an idempotency key, only once: the same key and input again
   * give what was stored the first time, also when both come at once: nothing here waits. Keys are
   * kept as long as the package requests.
   */
  create(input: PackageRequestCreate, idempotencyKey?: string): CreateResult;
  /**
   * All package requests, or those of one customer, in order of creation. The array is the store's
   * own: do not change it.
   */
  list(customerId?: string): PackageRequest[];
}

/** Package requests in memory, gone with the process. */
export function createPackageRequestStore(): PackageRequestStore {
  const requests: PackageRequest[] = [];
  const byCustomer = new Map<string, PackageRequest[]>();
  const byKey = new Map<string, PackageRequest>();

  return {
    create({ customer_id, package_type }, idempotencyKey) {
      const first = idempotencyKey === undefined ? undefined : byKey.get(idempotencyKey);
      if (first) {
        const same = first.customer_id === customer_id && first.package_type === package_type;
        return same ? { outcome: 'replayed', request: first } : { outcome: 'key_reused' };
      }
      const request: PackageRequest = {
        customer_id,
        package_type,
        request_id: randomUUID(),
        status: 'pending',
        created_at: new Date().toISOString(),
      };
      requests.push(request);
      const ofCustomer = byCustomer.get(customer_id);
      if (ofCustomer) ofCustomer.push(request);
      else byCustomer.set(customer_id, [request]);
      if (idempotencyKey !== undefined) byKey.set(idempotencyKey, request);
      return { outcome: 'created', request };
    },
    list: (customerId) =>
      customerId === undefined ? requests : (byCustomer.get(customerId) ?? []),
  };
}
