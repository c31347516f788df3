/** The integration-service that runs, as the commands call it. */
import { isIPv6 } from 'node:net';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { UnableError } from './command.ts';

const TIMEOUT_MS = 15_000;

export interface RunningService {
  /**
   * Calls a route, with the ADMIN_TOKEN if there is one, and returns the body of the answer as JSON.
   *
   * @param body sent as JSON. Default: none
   * @throws {UnableError} with the reason, when nothing answers, or the answer is no success
   */
  call(method: string, path: string, body?: unknown): Promise<unknown>;
}

const errorSchema = z.object({ detail: z.unknown() });

/** The service at INTEGRATION_SERVICE_HOST and INTEGRATION_SERVICE_PORT. */
export function createRunningService(
  config: Pick<Config, 'INTEGRATION_SERVICE_HOST' | 'INTEGRATION_SERVICE_PORT' | 'ADMIN_TOKEN'>,
): RunningService {
  const { INTEGRATION_SERVICE_PORT: port, ADMIN_TOKEN: token } = config;
  const origin = `http://${hostOf(config.INTEGRATION_SERVICE_HOST)}:${port}`;
  return {
    async call(method, path, body) {
      const response = await fetch(`${origin}${path}`, {
        method,
        headers: {
          ...(token && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      }).catch((cause: unknown) => {
        throw new UnableError(
          `No integration-service answers at ${origin}. Start it, or see INTEGRATION_SERVICE_HOST and INTEGRATION_SERVICE_PORT.`,
          { cause },
        );
      });
      const answer: unknown = await response.json().catch(() => undefined);
      if (response.ok) return answer;
      const detail = errorSchema.safeParse(answer).data?.detail;
      if (typeof detail === 'string') throw new UnableError(detail);
      const reason = detail === undefined ? '' : `: ${JSON.stringify(detail)}`;
      throw new UnableError(`${origin} answers ${response.status}${reason}.`);
    },
  };
}

/** Where a service that listens on all addresses, or on this one, can be called. */
function hostOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return isIPv6(host) ? `[${host}]` : host;
}
