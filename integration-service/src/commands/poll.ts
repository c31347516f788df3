/** `npm run poll`: makes a running service poll now. */
import { isIPv6 } from 'node:net';
import { parseArgs } from 'node:util';
import { parseOrExit } from 'service-kit/run';
import { print } from 'service-kit/terminal';
import { z } from 'zod';
import { parseConfig } from '../config.ts';
import { runProgram, UnableError, UsageError } from './command.ts';

const USAGE = `Usage: npm run poll -- <flow>

Makes the running service look for what is new now, without waiting for the end of its polling interval.
It is called at INTEGRATION_SERVICE_HOST and INTEGRATION_SERVICE_PORT, with the ADMIN_TOKEN if there is one.
The flow can be left out when only one is on.

  --help   this text

Exit code: 0, or 2 when the service did not take it.`;

const answerSchema = z.object({ detail: z.string() });

await runProgram(USAGE, async () => {
  const { positionals } = parseArgs({ allowPositionals: true });
  const config = parseOrExit('integration-service', () => parseConfig(process.env));
  const [flow, ...more] = positionals.length > 0 ? positionals : config.flows;
  if (flow === undefined || more.length > 0) throw new UsageError('One flow is needed.');
  const { INTEGRATION_SERVICE_PORT: port, ADMIN_TOKEN: token } = config;
  const origin = `http://${hostOf(config.INTEGRATION_SERVICE_HOST)}:${port}`;
  const response = await fetch(`${origin}/flows/${encodeURIComponent(flow)}/poll`, {
    method: 'POST',
    headers: token ? { authorization: `Bearer ${token}` } : {},
    signal: AbortSignal.timeout(15_000),
  }).catch((cause: unknown) => {
    throw new UnableError(
      `No integration-service answers at ${origin}. Start it, or see INTEGRATION_SERVICE_HOST and INTEGRATION_SERVICE_PORT.`,
      { cause },
    );
  });
  const answer = answerSchema.safeParse(await response.json().catch(() => undefined));
  const text = answer.data?.detail ?? `${origin} answers ${response.status}.`;
  if (!response.ok) throw new UnableError(text);
  print(text);
  return 0;
});

/** Where a service that listens on all addresses, or on this one, can be called. */
function hostOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return isIPv6(host) ? `[${host}]` : host;
}
