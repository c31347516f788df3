import helmet, { type FastifyHelmetOptions } from '@fastify/helmet';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify';
import { z } from 'zod';

export interface DocumentationOptions {
  info: { title: string; description: string; version: string };
  /** The groups of routes, in display order. */
  tags: { name: string; description: string }[];
  /** By the names that routes use in `security`. */
  securitySchemes?: Record<string, { type: 'http'; scheme: 'bearer' }> | undefined;
  /** Requests that the service sends, by name. */
  webhooks?: Record<string, DocumentedWebhook> | undefined;
}

/** A request that the service sends, and the answers that it expects. */
export interface DocumentedWebhook {
  operationId: string;
  summary: string;
  description: string;
  tags: string[];
  /** By name, in display order. */
  headers: Record<string, z.ZodType>;
  body: z.ZodType;
  /** Descriptions by status. */
  responses: Record<string, string>;
}

const PAGE_HEADERS: FastifyHelmetOptions = {
  // The service speaks plain HTTP: a browser told to upgrade could not load Swagger UI.
  contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
  strictTransportSecurity: false,
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
};

type JsonSchema = Record<string, unknown>;
/** The named schemas of the document. */
type Components = Map<string, JsonSchema>;

/**
 * Serves the OpenAPI 3.1 document at `/openapi.json`, and Swagger UI with its assets at `/docs`. All URLs
 * in them are relative, so they also work under a path prefix that a gateway strips before the service
 * sees it.
 */
export async function documentRoutes(
  app: FastifyInstance,
  { info, tags, securitySchemes, webhooks = {} }: DocumentationOptions,
): Promise<void> {
  const schemas = new Map<string, JsonSchema>();
  const components = securitySchemes ? { securitySchemes } : {};
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info, tags, components },
    transform: ({ schema, url }) => ({
      schema: schema && describeRoute(schema, schemas),
      url,
    }),
    transformObject: (document) => ({
      ...('openapiObject' in document ? document.openapiObject : {}),
      ...describeWebhooks(webhooks, schemas),
      servers: serversAt('.'),
      components: { ...components, schemas: Object.fromEntries(schemas) },
    }),
  });
  await app.register(async (pages) => {
    // Remove the policy of the other answers, which would override the policy of a page.
    pages.addHook('onRequest', async (_request, reply) => {
      reply.removeHeader('content-security-policy');
    });
    await pages.register(helmet, PAGE_HEADERS);
    pages.addHook('onSend', addViewport);
    await pages.register(swaggerUi, {
      routePrefix: '/docs',
      indexPrefix: '.',
      theme: { title: info.title },
      uiHooks: { onRequest: redirectToIndex },
      // `/docs/json` is one level deeper than `/openapi.json`.
      transformSpecification: (document) => ({ ...document, servers: serversAt('..') }),
      transformSpecificationClone: false,
    });
  });
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
}

/** Where the API is, relative to the URL of its document. */
function serversAt(url: string) {
  return [{ url, description: 'The service that this document is from.' }];
}

/** Without a viewport, a phone shows the page at desktop width, with text too small to read. */
async function addViewport(_request: FastifyRequest, reply: FastifyReply, payload: unknown) {
  const isPage = String(reply.getHeader('content-type')).startsWith('text/html');
  if (!isPage || typeof payload !== 'string') return payload;
  const viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">';
  return payload.replace('<meta charset="UTF-8">', (charset) => `${charset}\n      ${viewport}`);
}

/** Replaces Swagger UI's own redirect, which starts at the root of the host. */
function redirectToIndex(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  if (request.routeOptions.url === '/docs/static/index.html') reply.redirect('../');
  else done();
}

/** The route's schema with JSON Schema instead of zod; named schemas move to `components`. */
function describeRoute(schema: FastifySchema, components: Components): FastifySchema {
  const described: JsonSchema = { ...schema };
  for (const part of ['body', 'querystring', 'params', 'headers'] as const) {
    if (schema[part])
      described[part] = toJsonSchema(schema[part] as z.ZodType, 'input', components);
  }
  const answers = (schema.response ?? {}) as Record<string, DocumentedAnswer>;
  described.response = mapValues(answers, (answer) => describeAnswer(answer, components));
  return described;
}

interface DocumentedAnswer {
  description: string;
  headers?: Record<string, z.ZodType>;
  content: Record<string, { schema: z.ZodType; example?: unknown }>;
}

function describeAnswer(answer: DocumentedAnswer, components: Components): JsonSchema {
  const { description, headers, content } = answer;
  const output = (schema: z.ZodType) => toJsonSchema(schema, 'output', components);
  const types = mapValues(content, (type) => ({ ...type, schema: output(type.schema) }));
  return {
    description,
    // An answer without a body needs type null; otherwise @fastify/swagger gives it a body.
    ...(Object.keys(types).length > 0 ? { content: types } : { type: 'null' }),
    ...(headers && { headers: mapValues(headers, output) }),
  };
}

function describeWebhooks(
  webhooks: Record<string, DocumentedWebhook>,
  components: Components,
): JsonSchema {
  const described = mapValues(webhooks, ({ headers, body, responses, ...operation }) => {
    const parameters = Object.entries(headers).map(([name, header]) => {
      const { description, ...schema } = toJsonSchema(header, 'output', components);
      return { in: 'header', name, required: true, description, schema };
    });
    const content = { 'application/json': { schema: toJsonSchema(body, 'output', components) } };
    const requestBody = { required: true, content };
    const answers = mapValues(responses, (description) => ({ description }));
    return { post: { ...operation, parameters, requestBody, responses: answers } };
  });
  return Object.keys(webhooks).length > 0 ? { webhooks: described } : {};
}

function mapValues<From, To>(record: Record<string, From>, convert: (value: From) => To) {
  const entries = Object.entries(record).map(([name, value]) => [name, convert(value)]);
  return Object.fromEntries(entries) as Record<string, To>;
}

type ToJsonSchemaContext = { zodSchema: z.core.$ZodType; jsonSchema: z.core.JSONSchema.BaseSchema };

/** Converts a schema. A schema named by `.meta({ id })` becomes a reference, and so do those inside it. */
function toJsonSchema(
  schema: z.ZodType,
  io: 'input' | 'output',
  components: Components,
): JsonSchema {
  const converted = z.toJSONSchema(schema, { io, unrepresentable: 'any', override: tidy });
  const text = JSON.stringify(converted).replaceAll('#/$defs/', '#/components/schemas/');
  const { $schema: _, $defs = {}, ...root } = JSON.parse(text);
  const { id } = root;
  for (const [name, named] of Object.entries<JsonSchema>(id ? { ...$defs, [id]: root } : $defs)) {
    delete named.id;
    const known = components.get(name);
    if (known && JSON.stringify(known) !== JSON.stringify(named)) {
      throw new Error(`Two schemas are named '${name}': give one of them another id`);
    }
    components.set(name, named);
  }
  return id ? { $ref: `#/components/schemas/${id}` } : root;
}

/**
 * Removes what readers of the document do not need: the pattern behind a format or behind an integer's
 * text, the bounds of safe integers, and the statement that an answer has no other fields today. Restores
 * what zod removes: the examples of a request field that is transformed when parsed.
 */
function tidy({ zodSchema, jsonSchema }: ToJsonSchemaContext): void {
  const examples = z.globalRegistry.get(zodSchema)?.examples;
  if (examples) jsonSchema.examples = examples as unknown[];
  if (jsonSchema.format || jsonSchema.type === 'integer') delete jsonSchema.pattern;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) {
    delete jsonSchema.minimum;
    if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  }
  // A strict object in a request refuses other fields, and its schema says so.
  const isStrict = zodSchema instanceof z.ZodObject && zodSchema.def.catchall instanceof z.ZodNever;
  if (jsonSchema.additionalProperties === false && !isStrict) {
    delete jsonSchema.additionalProperties;
  }
}
