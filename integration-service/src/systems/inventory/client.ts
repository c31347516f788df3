import { numberTextSchema } from 'service-kit/foreign-json';
import type { Logger } from 'service-kit/logger';
import { createRateLimitedLog } from 'service-kit/rate-limited-log';
import { parseRetryAfter } from 'service-kit/retry';
import { z } from 'zod';
import type { Claim, Evidence, Sighting } from '../../delivery/delivery.ts';
import { idempotencyKey } from '../../delivery/idempotency-key.ts';
import { type Outcome, outcomeOfFailure, outcomeOfResponse } from '../../delivery/outcome.ts';
import { ReadError, type SendOptions, type Target } from '../../delivery/target.ts';
import { CallError, type HttpClient } from '../../http/client.ts';
import { hideSecrets } from '../../http/hide-secrets.ts';
import { type ListSource, readPages } from '../../http/pages.ts';
import { fieldNames, shorten } from '../../shorten.ts';
import { canonicalId, idFlaw } from '../customer-id.ts';

/** The leg's name, in the ledger, the routes and the idempotency keys. */
export const WELCOME_PACKAGE = 'welcome-package';

const NAME = 'inventory';
const PACKAGE_TYPE = 'welcome_package';

/** An answer to one package request has no reason to be larger. */
const MAX_ANSWER_BYTES = 1_000_000;

const welcomePackageSchema = z.object({
  customer_id: z.string().min(1).transform(canonicalId),
  package_type: z.literal(PACKAGE_TYPE).default(PACKAGE_TYPE),
});

/** A package request of any package type. */
const packageRequestSchema = z.object({ customer_id: z.string() });

/** This many characters of an id are kept as evidence: nothing is looked up by the id. */
const MOST_OF_AN_ID = 200;

const requestIdSchema = z.object({
  request_id: z
    .union([z.string().min(1), numberTextSchema])
    .transform((id) => shorten(id, MOST_OF_AN_ID)),
});

/** What to deliver when a customer is seen. */
export function welcomePackageFor(customerId: string): Sighting {
  const key = canonicalId(customerId);
  // The payload has the id as the CRM writes it: the inventory may know only that form.
  return {
    key,
    customerId: key,
    payload: { customer_id: customerId, package_type: PACKAGE_TYPE },
  };
}

export interface InventoryClientOptions {
  http: HttpClient;
  url: URL;
  /** How much of the list of package requests is read. */
  maxResponseBytes: number;
  log: Logger;
  /** Unix time in milliseconds. */
  now: () => number;
}

/** The inventory as the target of welcome packages. */
export function createInventoryClient(options: InventoryClientOptions): Target {
  const { http, url, maxResponseBytes, log, now } = options;
  const logLimited = createRateLimitedLog(log);
  const source: ListSource = {
    ...{ http, system: NAME, what: 'package requests', maxBytes: maxResponseBytes },
    // An older list would lack the latest package requests, and they would be sent again.
    mayBeOlder: false,
    retryAfterMs: (headers) => parseRetryAfter(headers['retry-after'], now()),
  };

  async function post({ leg, key, payload }: Claim, call: SendOptions): Promise<Outcome> {
    try {
      const response = await http.send({
        method: 'POST',
        url,
        json: payload,
        headers: { 'idempotency-key': idempotencyKey(leg, key) },
        maxBytes: MAX_ANSWER_BYTES,
        ...call,
      });
      const outcome = outcomeOfResponse(response, (body) => requestIdOf(body, key), now());
      if (!('reason' in outcome)) return outcome;
      return { ...outcome, reason: hideSecrets(outcome.reason, url) };
    } catch (error) {
      if (error instanceof CallError) return outcomeOfFailure(error);
      throw error;
    }
  }

  /** The whole list, or what the inventory lists for one customer. */
  async function* readList(only: Claim | undefined, signal: AbortSignal | undefined) {
    const list = new URL(url);
    if (only) list.searchParams.set('customer_id', customerIdOf(only));
    try {
      yield* readPages(source, { url: list, signal });
    } catch (error) {
      // An inventory may refuse the parameter, or the form of the id, with any status.
      const isRefusal = error instanceof ReadError && error.status && !error.isUnauthorized;
      if (!only || !isRefusal || error.isThrottled) throw error;
      yield* readPages(source, { url, signal });
    }
  }

  return {
    name: NAME,

    async send(claim, call) {
      const customerId = customerIdOf(claim);
      logLimited(
        'package requests to create',
        `Creating package request for customer ID: ${customerId}`,
      );
      const outcome = await post(claim, call);
      if (outcome.kind === 'delivered') {
        logLimited(
          'package requests successfully created',
          `Successfully created package request for customer ID: ${customerId}`,
        );
      } else {
        log.error(
          `Failed to create package request for customer ID ${customerId}: ${outcome.reason}`,
        );
      }
      return outcome;
    },

    async *read({ only, signal } = {}) {
      let stranger: unknown;
      let isOurs = false;
      for await (const record of readList(only, signal)) {
        const evidence = evidenceOf(record);
        if (evidence) yield evidence;
        isOurs ||= evidence !== undefined || packageRequestSchema.safeParse(record).success;
        if (!isOurs) stranger ??= record;
      }
      // No package request could be recognized in such a list, and every one would be sent again.
      if (!isOurs && stranger !== undefined) {
        const found = describeStranger(stranger);
        throw new ReadError(`it lists nothing with a customer_id, but ${found}`, { system: NAME });
      }
    },
  };
}

function customerIdOf({ payload }: Claim): string {
  return (payload as { customer_id: string }).customer_id;
}

/** The id of the package request in an answer, if the answer is a package request for this customer. */
function requestIdOf(body: unknown, key: string): string | undefined {
  const request = welcomePackageSchema.and(requestIdSchema).safeParse(body).data;
  return request?.customer_id === key ? request.request_id : undefined;
}

/** Describes a record without showing its content. */
function describeStranger(record: unknown): string {
  if (typeof record !== 'object' || record === null) return 'what is no object';
  const fields = fieldNames(record);
  return fields ? `records with ${fields}` : 'empty records';
}

/** The evidence in a listed record, if the record is a welcome package; other packages are ignored. */
function evidenceOf(record: unknown): Evidence | undefined {
  const request = welcomePackageSchema.safeParse(record).data;
  if (!request || idFlaw(request.customer_id)) return undefined;
  const evidence = requestIdSchema.safeParse(record).data?.request_id ?? 'listed without an id';
  return { ...welcomePackageFor(request.customer_id), evidence };
}
