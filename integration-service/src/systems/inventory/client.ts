import { numberTextSchema } from 'service-kit/foreign-json';
import { z } from 'zod';
import type { Outcome } from '../../delivery/outcome.ts';
import { type Call, ReadError } from '../../delivery/target.ts';
import { CallError, type HttpClient } from '../../http/client.ts';
import { hideSecrets } from '../../http/hide-secrets.ts';
import { outcomeOfFailure, outcomeOfResponse } from '../../http/outcome.ts';
import { type ListSource, readPages } from '../../http/pages.ts';
import { fieldNames, shorten } from '../../shorten.ts';
import { canonicalId, idFlaw } from '../customer-id.ts';

/** In logs, metrics and errors. */
export const INVENTORY = 'inventory';

/** The package type of a request that has none: the original mock knows no other. */
const DEFAULT_TYPE = 'welcome_package';

/** An answer to one package request has no reason to be larger. */
const MAX_ANSWER_BYTES = 1_000_000;

const packageSchema = z.object({
  customer_id: z.string().min(1).transform(canonicalId),
  package_type: z.string().default(DEFAULT_TYPE),
});

/** A package request of any kind. */
const packageRequestSchema = z.object({ customer_id: z.string() });

/** This many characters of an id are kept: nothing is looked up by the id. */
const MOST_OF_AN_ID = 200;

const requestIdSchema = z.object({
  request_id: z
    .union([z.string().min(1), numberTextSchema])
    .transform((id) => shorten(id, MOST_OF_AN_ID)),
});

/** A package request that the inventory lists. */
export interface PackageRequest {
  /** In the canonical form. */
  customerId: string;
  requestId: string;
}

export interface PackageToRequest {
  /** The body, as JSON text. */
  body: string;
  /** The value of the header `Idempotency-Key`. */
  idempotencyKey: string;
  /** In the canonical form: another customer in the answer means that it is not the answer. */
  customerId: string;
}

export interface InventoryClientOptions {
  http: HttpClient;
  url: URL;
  /** The package type that is requested and listed. */
  packageType: string;
  /** How much of the list of package requests is read. */
  maxResponseBytes: number;
  /** Unix time in milliseconds. */
  now: () => number;
}

export interface InventoryClient {
  /** One attempt to request a package. Never throws. */
  request(request: PackageToRequest, call: Call): Promise<Outcome>;
  /**
   * Yields the requests of the package type, as they arrive. They are complete only if it ends without an
   * error.
   *
   * @param only asks for this customer, in the form that the inventory got. The inventory may list this one,
   *   all, or anything in between
   * @throws {ReadError}
   */
  list(options: {
    only?: string | undefined;
    signal?: AbortSignal | undefined;
  }): AsyncIterable<PackageRequest>;
}

export function createInventoryClient(options: InventoryClientOptions): InventoryClient {
  const { http, url, packageType, maxResponseBytes, now } = options;
  const source: ListSource = {
    ...{ http, system: INVENTORY, what: 'package requests', maxBytes: maxResponseBytes, now },
    // An older list would lack the latest package requests, and they would be sent again.
    mayBeOlder: false,
  };

  /** The id of the package request in an answer, if the answer is a package request for this customer. */
  function requestIdOf(body: unknown, customerId: string): string | undefined {
    const request = packageSchema.and(requestIdSchema).safeParse(body).data;
    const isOurs = request?.customer_id === customerId && request.package_type === packageType;
    return isOurs ? request.request_id : undefined;
  }

  /** The listed request, if it is for our package type; others are ignored. */
  function toPackageRequest(record: unknown): PackageRequest | undefined {
    const request = packageSchema.safeParse(record).data;
    if (request?.package_type !== packageType || idFlaw(request.customer_id)) return undefined;
    const requestId = requestIdSchema.safeParse(record).data?.request_id ?? 'listed without an id';
    return { customerId: request.customer_id, requestId };
  }

  /** The whole list, or what the inventory lists for one customer. */
  async function* readList(only: string | undefined, signal: AbortSignal | undefined) {
    const list = new URL(url);
    if (only !== undefined) list.searchParams.set('customer_id', only);
    try {
      yield* readPages(source, { url: list, signal });
    } catch (error) {
      // An inventory may refuse the parameter, or the form of the id, with any status.
      const isRefusal = error instanceof ReadError && error.status && !error.isUnauthorized;
      if (only === undefined || !isRefusal || error.isThrottled) throw error;
      yield* readPages(source, { url, signal });
    }
  }

  return {
    async request({ body, idempotencyKey, customerId }, call) {
      try {
        const response = await http.send({
          method: 'POST',
          url,
          body,
          headers: { 'idempotency-key': idempotencyKey },
          maxBytes: MAX_ANSWER_BYTES,
          ...call,
        });
        const find = (answer: unknown) => requestIdOf(answer, customerId);
        const outcome = outcomeOfResponse(response, find, now());
        if (!('reason' in outcome)) return outcome;
        return { ...outcome, reason: hideSecrets(outcome.reason, url) };
      } catch (error) {
        if (error instanceof CallError) return outcomeOfFailure(error);
        throw error;
      }
    },

    async *list({ only, signal }) {
      let stranger: unknown;
      let isOurs = false;
      for await (const record of readList(only, signal)) {
        const request = toPackageRequest(record);
        if (request) yield request;
        isOurs ||= request !== undefined || packageRequestSchema.safeParse(record).success;
        if (!isOurs) stranger ??= record;
      }
      // No package request could be recognized in such a list, and every one would be sent again.
      if (!isOurs && stranger !== undefined) {
        const found = describeStranger(stranger);
        throw new ReadError(`it lists nothing with a customer_id, but ${found}`, {
          system: INVENTORY,
        });
      }
    },
  };
}

/** Describes a record without showing its content. */
function describeStranger(record: unknown): string {
  if (typeof record !== 'object' || record === null) return 'what is no object';
  const fields = fieldNames(record);
  return fields ? `records with ${fields}` : 'empty records';
}
