import { randomUUID } from 'node:crypto';
import type { PackageRequest, PackageRequestCreate } from './package-request.ts';

export interface PackageRequestStore {
  create(input: PackageRequestCreate): PackageRequest;
  /** All package requests in order of creation. The array is the store's own: do not change it. */
  list(): PackageRequest[];
}

/** Package requests in memory, gone with the process. */
export function createPackageRequestStore(): PackageRequestStore {
  const requests: PackageRequest[] = [];

  return {
    create({ customer_id, package_type }) {
      const request: PackageRequest = {
        customer_id,
        package_type,
        request_id: randomUUID(),
        status: 'pending',
        created_at: new Date().toISOString(),
      };
      requests.push(request);
      return request;
    },
    list: () => requests,
  };
}
