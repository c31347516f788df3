import { globSync, readFileSync } from 'node:fs';
import { ROOT } from './end-to-end/processes.ts';

/**
 * The documents for users, by their paths from the project's folder. What one page does, later pages see.
 */
export const PAGES = [
  ...['README.md', 'docs/operations.md'],
  ...globSync('docs/*.md', { cwd: ROOT, exclude: ['docs/operations.md'] }).sort(),
];

/** A block of bash commands, and the answer that the page shows below it. */
export interface Example {
  page: string;
  script: string;
  answer: { language: string; text: string } | undefined;
}

const BLOCK = /^```sh\n(.*?)\n```$(?:\n+^```(json|text)\n(.*?)\n```$)?/gms;

/** All commands that a page tells its reader to run, in order. */
export function examplesOf(page: string): Example[] {
  return [...readFileSync(`${ROOT}${page}`, 'utf8').matchAll(BLOCK)].map(
    ([, script = '', language, text = '']) => ({
      page,
      script,
      answer: language === undefined ? undefined : { language, text },
    }),
  );
}

/** The text with the parts masked that differ in every run. */
export function mask(text: string): string {
  return text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f…-]+/g, '<id>')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z|\[\d\d:\d\d:\d\d\.\d{3}\]/g, '<time>')
    .replaceAll(/ +/g, ' ');
}

/** Blocks that are not run unchanged: by the beginning of the block, the test that does the same. */
const RUN_BY: Record<string, string> = {
  'docker compose up --build --wait': 'compose/compose.test.ts',
  "docker compose --profile '*' down": 'compose/uninstall.test.ts',
  'LEDGER_URL=postgres://ledger:ledger@postgres/ledger': 'compose/replicas.test.ts',
  'echo CRM_EVENTS_URL=amqp://': 'compose/events.test.ts',
  'docker compose --profile rabbitmq up': 'compose/events.test.ts',
  "curl 'http://localhost:8001/package-requests?customer_id=26903934": 'end-to-end/lambda.test.ts',
  'npm run build:lambda': 'end-to-end/lambda.test.ts',
  'npm run --silent lambda': 'end-to-end/lambda.test.ts',
  'npm run prove': 'end-to-end/prove.test.ts',
  'npm run bench -- --help': 'end-to-end/terminal.test.ts',
  'npm ci': '../../.ci/run',
  'npm run format': '../../.ci/run',
  'npm run types': '../../.ci/run',
  'npm test': '../../.ci/run',
  'TEST_POSTGRES_URL=': '../../.ci/run',
  'docker run --detach --rm': '../../.ci/run',
  'docker stop': '../../.ci/run',
};

/**
 * The test that does what a block says, by its path from the folder of tests; `undefined` if there is
 * none.
 */
export function testOf({ script }: Example): string | undefined {
  return Object.entries(RUN_BY).find(([begin]) => script.startsWith(begin))?.[1];
}

/** Where a block is run unchanged. */
export function placeOf(example: Example) {
  const { script } = example;
  if (testOf(example)) return undefined;
  if (script.startsWith('docker compose --profile postgres ')) return 'replicas';
  if (script.startsWith('curl --silent')) return 'events';
  if (/^(curl|docker compose (logs|exec|kill|stop|start)) /.test(script)) return 'compose';
  if (/webhooks\/customers/.test(script)) return 'signed';
  return script.startsWith('npx node ') ? 'alone' : undefined;
}
