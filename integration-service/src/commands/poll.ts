/** `npm run poll`: makes a running service poll now. */
import { parseArgs } from 'node:util';
import { parseOrExit } from 'service-kit/run';
import { print } from 'service-kit/terminal';
import { z } from 'zod';
import { parseConfig } from '../config.ts';
import { runProgram, UsageError } from './command.ts';
import { createRunningService } from './running-service.ts';

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
  const path = `/flows/${encodeURIComponent(flow)}/poll`;
  const { detail } = answerSchema.parse(await createRunningService(config).call('POST', path));
  print(detail);
  return 0;
});
