import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ChildOptions, startChild } from '../child-process.ts';

/** A real crm-api. It keeps customers and events in memory, so killing it loses them. */
export interface CrmProcess extends AsyncDisposable {
  /** The customers that it answered with 201. */
  customerIds: string[];
  /** Creates customers one after the other, spread over `overMs`. */
  create(count: number, overMs: number): Promise<void>;
  /** What went wrong with the process. */
  problems(): string[];
}

const CRM_API = fileURLToPath(new URL('../../../crm-api/src/main.ts', import.meta.url));

/** Starts crm-api on a free port; disposing of it ends the process. */
export async function startCrm(
  options: Pick<ChildOptions, 'env' | 'logFile'> & { signal: AbortSignal },
): Promise<CrmProcess> {
  const { logFile, signal } = options;
  const env = { CRM_API_PORT: '0', LOG_FORMAT: 'json', ...options.env };
  const child = startChild({ program: CRM_API, env, logFile });
  const url = await child.listening;
  if (!url) throw new Error(`crm-api does not start: ${logFile}`);
  const customerIds: string[] = [];
  let asked = 0;

  async function createOne(): Promise<void> {
    asked += 1;
    const response = await fetch(`${url}/customers`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: `Customer ${asked}`, email: `customer-${asked}@example.com` }),
      signal,
    });
    const body = await response.json();
    if (response.status !== 201) throw new Error(`POST ${url}/customers: ${response.status}`);
    customerIds.push((body as { id: string }).id);
  }

  return {
    customerIds,
    async create(count, overMs) {
      const from = performance.now();
      for (let i = 0; i < count; i++) {
        const due = from + (overMs * (i + 1)) / count;
        await sleep(Math.max(0, due - performance.now()), undefined, { signal });
        await createOne();
      }
    },
    problems: () => (child.end() ? [`crm-api ended by itself: ${logFile}`] : []),
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.ended;
    },
  };
}
