import { z } from 'zod';
import type { LedgerLocation } from './ledger.ts';

const FORMS = 'must be sqlite:<path of a file>, sqlite::memory: or postgres://…';

/** `sqlite:./data/ledger.sqlite`, `sqlite:/data/ledger.sqlite`, `sqlite::memory:`, `postgres://…` */
export const ledgerUrlSchema = z.string().transform((text, context): LedgerLocation => {
  const path = /^sqlite:(?:\/\/(?=\/))?(?!\/\/)(\S.*)$/.exec(text)?.[1];
  if (path !== undefined) return { kind: 'sqlite', path };
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text))
    return { kind: 'postgres', url: text };
  context.addIssue(FORMS);
  return z.NEVER;
});
