import { answer, errorAnswer, errorSchema } from 'service-kit/answers';
import { HttpError } from 'service-kit/errors';
import type { HttpService } from 'service-kit/http-service';
import { z } from 'zod';
import type { Flow } from '../flow.ts';
import type { Poller } from '../ingest/poller.ts';
import { noQuerySchema } from './delivery-schemas.ts';
import { createGuarded, type GuardedOptions } from './guarded.ts';

export const FLOWS_TAG = {
  name: 'flows',
  description: 'What carries records from one system to another.',
};

export interface FlowRoutesOptions extends GuardedOptions {
  flows: readonly { flow: Pick<Flow, 'name'>; pollers: readonly Pick<Poller, 'pollNow'>[] }[];
}

/** `/flows`: tell a flow to look now. */
export function addFlowRoutes(app: HttpService, options: FlowRoutesOptions): void {
  const { flows } = options;
  const guarded = createGuarded({ ...options, tag: FLOWS_TAG.name });

  app.post(
    '/flows/:flow/poll',
    guarded({
      operationId: 'pollNow',
      summary: 'Look for what is new, now',
      description:
        'Does not wait for the end of the polling interval. The log and `/deliveries` show what is found.',
      params: z.object({
        flow: z
          .string()
          .meta({ description: 'The name of the flow.', examples: ['welcome-package'] }),
      }),
      querystring: noQuerySchema,
      response: {
        202: answer('The sources of the flow are polled.', errorSchema),
        404: errorAnswer(
          'There is no such flow, or it is off.',
          notOn('shop', ['welcome-package']),
        ),
        503: errorAnswer(
          'A source asks for fewer calls.',
          'A source of welcome-package asks for fewer calls, and is not polled until 2026-11-28T10:00:00.000Z.',
        ),
      },
    }),
    async ({ params }, reply) => {
      const found = flows.find(({ flow }) => flow.name === params.flow);
      const names = flows.map(({ flow }) => flow.name);
      if (!found) throw new HttpError(404, notOn(params.flow, names));
      const pauses = found.pollers.flatMap((poller) => poller.pollNow() ?? []);
      if (pauses.length > 0) {
        const until = new Date(Math.max(...pauses)).toISOString();
        throw new HttpError(
          503,
          `A source of ${params.flow} asks for fewer calls, and is not polled until ${until}.`,
        );
      }
      return reply.code(202).send({ detail: `${params.flow} polls now.` });
    },
  );
}

function notOn(flow: string, on: readonly string[]): string {
  return `There is no flow '${flow}'; switched on are: ${on.join(', ')}.`;
}
