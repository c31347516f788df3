import { answer, commonErrors, errorAnswer, validationErrorSchema } from 'service-kit/answers';
import { type AdminGuard, guardErrors } from '../../admin-guard.ts';

export interface GuardedOptions {
  /** The security requirements of each route. */
  security: Record<string, string[]>[];
  guard: AdminGuard;
}

const errors = {
  ...commonErrors,
  ...guardErrors,
  422: answer('A parameter is wrong.', validationErrorSchema),
  503: errorAnswer(
    'The ledger cannot be used now, or the service did not answer in time.',
    'The disk of the ledger /data/ledger.sqlite is full. Nothing is sent until there is room.',
  ),
};

/** Returns what makes the options of a route that is guarded. */
export function createGuarded({ guard, security, tag }: GuardedOptions & { tag: string }) {
  return <Schema extends { response: object }>(schema: Schema) => {
    const response = { ...errors, ...schema.response };
    return { onRequest: guard, schema: { tags: [tag], security, ...schema, response } };
  };
}
