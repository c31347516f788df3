import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, startChild } from '../child-process.ts';
import type { Tools } from '../proof.ts';

const CRM_API = fileURLToPath(new URL('../../../crm-api/src/main.ts', import.meta.url));

let started = 0;

/** A real crm-api: its customers and its events are in its memory. */
export interface CrmApi {
  url: string;
  child: Child;
}

/**
 * Resolves when it listens, on a port that the system chooses.
 *
 * @param env what else it needs of an environment
 */
export async function startCrmApi(
  { folder, cleanUp }: Pick<Tools, 'folder' | 'cleanUp'>,
  env: Record<string, string> = {},
): Promise<CrmApi> {
  // Not appended to what another one has written: the URL is read from the log.
  started += 1;
  const logFile = join(folder, `crm-api-${started}.log`);
  const child = startChild({
    program: CRM_API,
    env: { CRM_API_PORT: '0', LOG_FORMAT: 'json', ...env },
    logFile,
  });
  cleanUp.defer(() => child.kill().then(() => {}));
  const url = await child.listening;
  if (!url) throw new Error(`crm-api does not start: ${logFile}`);
  return { url, child };
}
