/**
 * `npm run prove`: proves that nothing is lost or doubled, whatever is killed at whatever time. `--help` explains
 * its use.
 */
import { EXIT_BROKEN_PIPE, endWithoutReader, printText } from 'service-kit/terminal';
import { HELP, type Options, OptionsError, parseOptions } from './options.ts';
import { PROOFS, planCells } from './plan.ts';
import { formatBadCell, formatMatrix, formatSums, formatVerdict, isGood } from './report.ts';
import { runCells } from './run.ts';
import { checkDocker } from './systems/broker.ts';

const EXIT = { good: 0, bad: 1, notRun: 2 };

const WITHOUT_READER = new Error('nobody reads the output');

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stopping.abort(new Error(`stopped by ${signal}`)));
}
// Do not exit at once: the processes that it has started must end, too.
endWithoutReader(() => stopping.abort(WITHOUT_READER));

const args = process.argv.slice(2);
let exitCode = EXIT.good;
try {
  const options = parseOptions(args);
  if (options.help) printText(HELP);
  else exitCode = await prove(options);
} catch (thrown) {
  const error = (stopping.signal.reason ?? thrown) as Error & { code?: unknown };
  if (error === WITHOUT_READER) process.exit(EXIT_BROKEN_PIPE);
  const isUsage = error instanceof OptionsError || `${error.code}`.startsWith('ERR_PARSE_ARGS');
  const isExpected = isUsage || stopping.signal.aborted;
  process.stderr.write(`prove: ${isExpected ? error.message : error.stack}\n`);
  if (isUsage) process.stderr.write('See npm run prove -- --help\n');
  exitCode = EXIT.notRun;
}
// Without this, Node spins forever at its end, waiting for a socket that it closed long ago.
process.exit(exitCode);

async function prove(options: Options): Promise<number> {
  const { replicas, ledger, seed } = options;
  const startedAt = performance.now();
  const cells = planCells(options);
  if (cells.length === 0) throw new OptionsError(`--only ${options.only}: no cell has that name`);
  const source = cells.find((cell) => cell.source.needsDocker)?.source.name;
  if (source) {
    await checkDocker().catch(({ message }: Error) => {
      throw new OptionsError(`--source ${source} needs Docker, which cannot be used: ${message}`);
    });
  }

  const store = ledger ? 'PostgreSQL' : 'SQLite';
  printText(`${cells.length} cells, ledger on ${store}, ${replicas} process(es), seed ${seed}`);
  const { signal } = stopping;
  const results = await runCells({ cells, seed, ledger, replicas, signal, onProgress });

  for (const proof of PROOFS) {
    const own = results.filter(({ cell }) => cell.proof === proof);
    if (own.length === 0) continue;
    printText(`\n${formatMatrix(proof, own)}`);
    printText('lost/doubled of each cell; !: something else was wrong; .: not run\n');
    printText(`${formatSums(proof, own, replicas)}\n`);
  }
  const bad = results.filter((result) => !isGood(result));
  // The amounts influence the random choices, so the same options come again, but for the ledger's password.
  const given = args.join(' ').replaceAll(/postgres\S+/g, '…');
  const amounts = given.replaceAll(/ ?--(seed|only)[ =]\S+/g, '');
  const repeat = `npm run prove -- ${amounts.trim()} --seed ${seed}`;
  for (const result of bad) printText(`${formatBadCell(result, { repeat })}\n`);
  printText(formatVerdict(results, (performance.now() - startedAt) / 1000));
  return bad.length === 0 ? EXIT.good : EXIT.bad;

  /** A line that is overwritten on a terminal; nothing elsewhere. */
  function onProgress(done: number): void {
    const end = done < cells.length ? '' : '\n';
    if (process.stderr.isTTY) process.stderr.write(`\r${done}/${cells.length}${end}`);
  }
}
