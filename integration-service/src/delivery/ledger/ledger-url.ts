import { group } from 'service-kit/environment';
import { z } from 'zod';
import type { LedgerLocation } from './ledger.ts';

const IN_MEMORY = ':memory:';
const FORMS =
  'must be sqlite:<path of a file> (sqlite:/data/ledger.sqlite, for example), sqlite::memory: or postgres://…';

/**
 * `sqlite:./data/ledger.sqlite`, `sqlite:/data/ledger.sqlite`, `sqlite::memory:`, `postgres://…`
 *
 * A URI of SQLite's own (`sqlite:file:…`) is refused: only SQLite understands its parameters, so that this
 * code would not notice if the file is deleted, or used by two services.
 */
export const ledgerUrlSchema = z.string().transform((text, context): LedgerLocation => {
  const path = /^sqlite:(?:\/\/(?=\/))?(?!\/\/)(\S.*)$/.exec(text)?.[1];
  if (path !== undefined && (path === IN_MEMORY || !/^(file)?:/i.test(path))) {
    return { kind: 'sqlite', path };
  }
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text))
    return { kind: 'postgres', url: text };
  context.addIssue(FORMS);
  return z.NEVER;
});

export const ledgerEnvironment = group('Deliveries', {
  LEDGER_URL: ledgerUrlSchema
    .prefault('sqlite:./data/ledger.sqlite')
    .describe('Where the ledger is: `sqlite:<file>`, `sqlite::memory:` or `postgres://…`.')
    .meta({ secret: true }),
});
