/** How the service learns of customers. All but `poll` are events that the CRM sends. */
export const SOURCE_NAMES = ['poll', 'webhook', 'rabbitmq'] as const;
export type SourceName = (typeof SOURCE_NAMES)[number];
export type EventSourceName = Exclude<SourceName, 'poll'>;
