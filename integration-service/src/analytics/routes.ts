/** `/analytics`: the files as a page, as JSON, and to be downloaded. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { answer, errorAnswer } from 'service-kit/answers';
import { HttpError } from 'service-kit/errors';
import type { HttpService } from 'service-kit/http-service';
import { lastValue } from 'service-kit/query';
import { sendStream } from 'service-kit/send-stream';
import { strictObject } from 'service-kit/validation';
import { z } from 'zod';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import { noQuerySchema } from '../delivery/routes/delivery-schemas.ts';
import { createGuarded, type GuardedOptions } from '../delivery/routes/guarded.ts';
import { COLUMNS, FILE_NAMES } from './columns.ts';
import { listFiles, type ShownFile } from './files/file-table.ts';
import { readTail } from './files/read-tail.ts';
import { renderPage } from './page.ts';

export const ANALYTICS_TAG = {
  name: 'analytics',
  description: 'The CSV files, as far as their rows are committed.',
};

/** How many rows the page shows of each file. */
const PREVIEW = 50;
/** By this mark, Excel knows that a file is UTF-8. */
const BYTE_ORDER_MARK = '\ufeff';

const fileSchema = z
  .object({
    name: z.enum(FILE_NAMES).meta({ description: 'Its name, without `.csv`.' }),
    rows: z.int().meta({ description: 'Without the header.', examples: [42] }),
    bytes: z.int().meta({ description: 'With the header.', examples: [9_000] }),
    changed_at: z.iso.datetime().meta({ description: 'When rows were last added, UTC.' }),
    columns: z.array(z.string()).meta({ description: 'The names of its columns.' }),
  })
  .meta({ id: 'AnalyticsFile', description: 'A CSV file.' });

export interface AnalyticsRoutesOptions extends GuardedOptions {
  folder: string;
  ledger: Pick<Ledger, 'read'>;
}

export function addAnalyticsRoutes(app: HttpService, options: AnalyticsRoutesOptions): void {
  const { folder, ledger } = options;
  const guarded = createGuarded({ ...options, tag: ANALYTICS_TAG.name });
  const pathOf = (name: string) => join(folder, `${name}.csv`);

  app.get(
    '/analytics',
    guarded({
      operationId: 'showAnalytics',
      summary: 'The files as a page',
      querystring: noQuerySchema,
      response: {
        200: {
          description: 'A page for a browser.',
          content: { 'text/html': { schema: z.string() } },
        },
      },
    }),
    async (_request, reply) => {
      const files = await ledger.read(listFiles);
      const shown = await Promise.all(
        files.map(async (file) => ({ ...file, last: await lastRows(file) })),
      );
      return reply
        .type('text/html; charset=utf-8')
        .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
        .send(renderPage(shown, PREVIEW));
    },
  );

  app.get(
    '/analytics/files',
    guarded({
      operationId: 'listAnalyticsFiles',
      summary: 'List the files',
      querystring: noQuerySchema,
      response: { 200: answer('The files.', z.array(fileSchema)) },
    }),
    async () => (await ledger.read(listFiles)).map(present),
  );

  app.get(
    '/analytics/files/:file',
    guarded({
      operationId: 'downloadAnalyticsFile',
      summary: 'Download a file',
      params: z.object({
        file: z.string().meta({ description: 'Its name.', examples: ['analytics_data.csv'] }),
      }),
      querystring: strictObject({
        bom: lastValue(z.enum(['true', 'false'], 'Input should be true or false'))
          .default('false')
          .meta({ description: '`true`: with the mark by which Excel knows UTF-8.' }),
      }),
      response: {
        200: { description: 'The file.', content: { 'text/csv': { schema: z.string() } } },
        404: errorAnswer('There is no such file.', 'Not Found'),
      },
    }),
    async ({ params, query }, reply) => {
      const files = await ledger.read(listFiles);
      const file = files.find(({ name }) => params.file === `${name}.csv`);
      if (!file) throw new HttpError(404, 'Not Found');
      const mark = query.bom === 'true' ? BYTE_ORDER_MARK : '';
      reply
        .type('text/csv; charset=utf-8')
        .header('content-disposition', `attachment; filename="${file.name}.csv"`)
        .header('content-length', Buffer.byteLength(mark) + file.length);
      return sendStream(reply, Readable.from(contentOf(file, mark), { objectMode: false }));
    },
  );

  async function lastRows({ name, length }: ShownFile): Promise<string[][] | undefined> {
    try {
      return await readTail(pathOf(name), length, PREVIEW);
    } catch {
      // Why it cannot be read stands in the log and in /readyz.
      return undefined;
    }
  }

  async function* contentOf({ name, length }: ShownFile, mark: string): AsyncGenerator<Buffer> {
    if (mark) yield Buffer.from(mark);
    yield* createReadStream(pathOf(name), { end: length - 1 });
  }
}

function present({ name, rows, length, changedAt }: ShownFile): z.output<typeof fileSchema> {
  return {
    ...{ name, rows, bytes: length, changed_at: new Date(changedAt).toISOString() },
    columns: COLUMNS[name].map((column) => column.name),
  };
}
