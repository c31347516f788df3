import type { Logger } from 'service-kit/logger';
import { CallError, describeResponse, type HttpClient, isSuccess } from '../http-client.ts';

export interface InventoryClient {
  /** Requests a customer's welcome package; true when the inventory has taken the request. */
  createPackageRequest(customerId: string, signal: AbortSignal): Promise<boolean>;
}

export interface InventoryClientOptions {
  http: HttpClient;
  url: URL;
  log: Logger;
}

/** An answer to one package request has no reason to be larger. */
const MAX_ANSWER_BYTES = 1_000_000;

export function createInventoryClient({ http, url, log }: InventoryClientOptions): InventoryClient {
  /** The reason why the request failed; `undefined` when it did not. */
  async function post(customerId: string, signal: AbortSignal): Promise<string | undefined> {
    const json = { customer_id: customerId, package_type: 'welcome_package' };
    const maxBytes = MAX_ANSWER_BYTES;
    try {
      const response = await http.send({ method: 'POST', url, json, maxBytes, signal });
      return isSuccess(response.status) ? undefined : describeResponse(response);
    } catch (error) {
      // A success whose body breaks off is one all the same: to ask again would send a second package.
      if (error instanceof CallError && isSuccess(error.status)) return undefined;
      return (error as Error).message;
    }
  }

  return {
    async createPackageRequest(customerId, signal) {
      log.info(`Creating package request for customer ID: ${customerId}`);
      const failure = await post(customerId, signal);
      if (failure) {
        log.error(`Failed to create package request for customer ID ${customerId}: ${failure}`);
        return false;
      }
      log.info(`Successfully created package request for customer ID: ${customerId}`);
      return true;
    },
  };
}
