/** `npm run build:lambda`: bundles the Lambda function and everything that it needs into one file. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { endWithoutReader } from 'service-kit/terminal';

endWithoutReader();

const outfile = fileURLToPath(new URL('dist/lambda.mjs', import.meta.url));

await build({
  entryPoints: [fileURLToPath(new URL('src/welcome-package/lambda.ts', import.meta.url))],
  outfile,
  bundle: true,
  minify: true,
  // Keep names readable in stack traces.
  keepNames: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // CommonJS packages call `require`, which ES modules do not have.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});

const file = readFileSync(outfile);
const kilobytes = (bytes: Buffer) => Math.round(bytes.length / 1_000);
process.stdout.write(
  `${outfile}: ${kilobytes(file)} kB, gzipped ${kilobytes(gzipSync(file))} kB\n`,
);
