/**
 * `npm run settings`: writes what the services declare of their variables into `.env.example`, the tables of
 * docs/configuration.md and the lists of docker-compose.yml. With `--check`, it writes nothing, and ends with
 * 1 if one of these is out of date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { variablesOf } from 'service-kit/environment';
import { environmentSchema as crm } from './crm-api/src/config.ts';
import { environmentSchema as integration } from './integration-service/src/config.ts';
import { environmentSchema as inventory } from './inventory-api/src/config.ts';

/** What only docker-compose.yml reads. */
const COMPOSE = [
  ['RABBITMQ_USER', 'platform', 'The user of the RabbitMQ of Compose, from its first start on.'],
  ['RABBITMQ_PASSWORD', 'platform', 'The password of this user, from the first start on.'],
  ['RABBITMQ_PORT', '5673', 'The port of AMQP on 127.0.0.1.'],
  ['RABBITMQ_MANAGEMENT_PORT', '15673', 'The port of its web page on 127.0.0.1.'],
].map(([name = '', value, description]) => {
  return { name, names: [name], group: 'Events', description, default: value };
});

const READERS = new Map<string, ReturnType<typeof variablesOf>>([
  ['integration-service', variablesOf(integration)],
  ['crm-api', variablesOf(crm)],
  ['inventory-api', variablesOf(inventory)],
  ['Docker Compose', COMPOSE],
]);

const variables = new Map([...READERS.values()].flat().map((each) => [each.name, each]));
for (const { name, group, description, default: value, example } of variables.values()) {
  if (group && description && (value ?? example)) continue;
  throw new Error(`${name} needs a group, a description, and a default or an example.`);
}
const groups = Map.groupBy(variables.values(), ({ group }) => group);

const INTRODUCTION = `# Copy to .env and take the # away from what you change. docker compose up, npm start and the commands
# read .env. Put a value with a $ or a # in single quotes. npm refuses lines that Docker Compose would take
# for something else than they look like, and says which. A name with _FILE is for the path of a file that
# holds the value. What is not called an example is the default. docs/configuration.md says more.
# npm run settings writes this file.
`;

function writeExample(): string {
  let text = INTRODUCTION;
  for (const [group, members] of groups) {
    text += `\n## ${group}\n`;
    for (const { name, names, description = '', default: value, example } of members) {
      const inFile = names[1] ? ` Or ${names[1]}.` : '';
      const about = `${description}${inFile}${value ? '' : ' For example:'}`;
      const plain = about.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '');
      text += `${plain.replaceAll(/(.{1,98})(?: |$)/g, '# $1\n')}# ${name}=${value ?? example}\n`;
    }
  }
  return text;
}

/** A table stands under the title of its group, after an introduction and before notes, if there are any. */
function writeTables(page: string): string {
  let text = page;
  for (const [group, members] of groups) {
    const rows = members.map(({ name, names, description, default: value, example }) => {
      const shown = value ? `\`${value}\`` : `for example \`${example}\``;
      const readers = [...READERS].filter(([, read]) => read.some((each) => each.name === name));
      const who = readers.map(([reader]) => reader).join(', ');
      return `| \`${names.join('`, `')}\` | ${shown} | ${who} | ${description} |\n`;
    });
    const table = `| variable | default | read by | meaning |\n|---|---|---|---|\n${rows.join('')}`;
    if (!text.includes(`\n### ${group}\n`))
      text = replace(text, /^(?=## Secrets in files$)/m, `### ${group}\n\n|\n\n`);
    text = replace(
      text,
      new RegExp(`(?<=^### ${group}\n(?:(?![#|]).*\n)*)(?:\\|.*\n)+`, 'm'),
      table,
    );
  }
  for (const [, name = ''] of text.matchAll(/^\| `([A-Z_]+)`/gm))
    if (!variables.has(name)) throw new Error(`Remove the section of ${name}: nothing reads it.`);
  return text;
}

/** Lists what a service reads, but for what the file gives a value of its own (`- LOG_FORMAT=…`). */
function writeLists(compose: string): string {
  let text = compose;
  for (const [service, read] of READERS) {
    if (read === COMPOSE) continue;
    // Services refuse former names: they must see them.
    const names = read.flatMap((variable) => [
      ...variable.names,
      ...(variable.formerly ? [variable.formerly, `${variable.formerly}_FILE`] : []),
    ]);
    const bare = names.filter((name) => !compose.includes(` - ${name}=`));
    const list = new RegExp(`(?<=# For ${service}, .*\n)(?: {6}- \\w+\n)*`);
    text = replace(text, list, bare.map((name) => `      - ${name}\n`).join(''));
  }
  return text;
}

function replace(text: string, part: RegExp, by: string): string {
  if (!part.test(text)) throw new Error(`Nothing matches ${part}: there is no place to write to.`);
  return text.replace(part, () => by);
}

for (const [path, write] of Object.entries({
  '.env.example': writeExample,
  'docs/configuration.md': writeTables,
  'docker-compose.yml': writeLists,
})) {
  const before = readFileSync(path, 'utf8');
  const text = write(before);
  if (text === before) continue;
  if (process.argv.includes('--check')) {
    process.stderr.write(`${path} is out of date: run npm run settings.\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, text);
    process.stdout.write(`${path} is written anew.\n`);
  }
}
