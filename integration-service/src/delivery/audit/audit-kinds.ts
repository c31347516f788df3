/** What an audit distinguishes. The first four are drift: they do not go away by themselves. */
export const AUDIT_KINDS = ['missing', 'doubled', 'orphaned', 'dead', 'held', 'in_flight'] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];
/** Those that do not go away by themselves. */
export const DRIFT: AuditKind[] = ['missing', 'doubled', 'orphaned', 'dead'];
