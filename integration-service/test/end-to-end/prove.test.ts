import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { planCells } from '../../prove/plan.ts';
import type { Proof, Systems } from '../../prove/proof.ts';
import { formatBadCell, formatVerdict, isGood } from '../../prove/report.ts';
import type { CellResult } from '../../prove/result.ts';
import { runCells } from '../../prove/run.ts';
import { runScript } from './processes.ts';

/** The folder for the prover's files; removed after the test. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'prove-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const prove = (args: string[], env: NodeJS.ProcessEnv = {}) => runScript('prove', args, env);

/**
 * Runs one cell in this process.
 *
 * @param countFirst what the inventory makes of the number of packages of the first customer
 */
async function runCell(
  only: string,
  countFirst: (packages: number) => number = (packages) => packages,
): Promise<CellResult> {
  vi.stubEnv('TMPDIR', temporaryFolder());
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const amounts = { kills: 0, customers: 0, disturbances: 0 };
  const cells = planCells({ ...amounts, sources: ['poll'], quick: false, only }).map((cell) => {
    const open: Proof['open'] = async (...args) =>
      sabotage(await cell.proof.open(...args), countFirst);
    return { ...cell, proof: { ...cell.proof, open } };
  });
  const { signal } = new AbortController();
  const [result] = await runCells({ cells, seed: 1, replicas: 1, signal });
  return result as CellResult;
}

function sabotage(systems: Systems, countFirst: (packages: number) => number): Systems {
  let first: string | undefined;
  return {
    ...systems,
    async create(count) {
      const ids = await systems.create(count);
      first ??= ids[0];
      return ids;
    },
    effects: (id) => (id === first ? countFirst : Number)(systems.effects(id)),
  };
}

describe('npm run prove', () => {
  it('finds nothing lost and nothing doubled, ends with 0 and leaves nothing behind', async () => {
    const folder = temporaryFolder();
    const { ended, lines } = prove(['--source', 'poll', '--only', 'received/none'], {
      TMPDIR: folder,
    });
    expect(await ended, lines.join('\n')).toBe(0);
    expect(lines.at(-1)).toMatch(/^PROVED: 0 lost, 0 doubled: \d+ customers, \d+ kills, 2 cells,/);
    expect(lines.every((line) => line.length <= 120)).toBe(true);
    expect(readdirSync(folder).filter((name) => name.startsWith('prove-'))).toEqual([]);
  });

  it.each([
    { args: ['--kill', '3'], message: /Unknown option '--kill'/ },
    { args: ['--kills', 'many'], message: /--kills must be a whole number from 0 to 1000000/ },
    { args: ['--replicas', '3'], message: /--replicas above 1 needs --ledger/ },
    { args: ['--ledger', 'sqlite:x'], message: /--ledger must be postgres:/ },
    { args: ['--source', 'post'], message: /--source must be some of poll,webhook,rabbitmq/ },
    { args: ['--only', 'nowhere'], message: /--only nowhere: no cell has that name/ },
    { args: ['--ledger', 'postgres://127.0.0.1:1/x'], message: /ECONNREFUSED/ },
  ])('says what is wrong with $args and ends with 2', async ({ args, message }) => {
    const { ended, lines } = prove(args);
    expect(await ended).toBe(2);
    expect(lines.join('\n')).toMatch(message);
  });

  it('says that RabbitMQ needs Docker when none can be had, and ends with 2', async () => {
    const { ended, lines } = prove(['--source', 'rabbitmq'], { DOCKER_HOST: 'tcp://127.0.0.1:1' });
    expect(await ended).toBe(2);
    expect(lines.join('\n')).toMatch(/--source rabbitmq needs Docker, which cannot be used: /);
  });

  it('explains itself', async () => {
    const { ended, lines } = prove(['--help']);
    expect(await ended).toBe(0);
    expect(lines[0]).toBe('Usage: npm run prove -- [options]');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'stops on %s and leaves nothing behind',
    async (signal) => {
      const folder = temporaryFolder();
      const proof = prove(['--only', 'sending/hangs'], { TMPDIR: folder });
      await vi.waitFor(() => expect(startedServices(folder).length).toBeGreaterThan(1), 50_000);
      const pids = startedServices(folder);
      expect(await proof.stop(signal)).toBe(2);
      expect(proof.lines.join('\n')).toContain(`stopped by ${signal}`);
      expect(readdirSync(folder).filter((name) => name.startsWith('prove-'))).toEqual([]);
      for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    },
  );
});

describe('the prover', () => {
  it('sees a package that the inventory makes twice', async () => {
    const result = await runCell('received/none/plain', (packages) => packages * 2);
    expect(result).toMatchObject({
      kills: [{ process: 0 }],
      lost: [],
      doubled: [expect.any(String)],
    });
    expectBad(result, 'FAILED: 0 lost, 1 doubled');
  });

  it('sees a package that the inventory has lost', async () => {
    const result = await runCell('received/none/plain', () => 0);
    expect(result).toMatchObject({
      kills: [{ process: 0 }],
      lost: [expect.any(String)],
      doubled: [],
    });
    expectBad(result, 'FAILED: 1 lost, 0 doubled');
  });

  it('is content when nothing is wrong', async () => {
    const result = await runCell('received/none/plain');
    expect(result).toMatchObject({ kills: [{ process: 0 }], lost: [], doubled: [], problems: [] });
    expect(result.ids.length).toBeGreaterThanOrEqual(7);
    expect(isGood(result)).toBe(true);
  });
});

function expectBad(result: CellResult, verdict: string): void {
  expect(isGood(result)).toBe(false);
  expect(formatVerdict([result], 1)).toContain(verdict);
  const text = formatBadCell(result, { repeat: 'npm run prove --' });
  expect(text).toMatch(/Z {2}welcome-package {2}(delivered|found) {2}attempt \d /);
  expect(text).toContain('--only welcome-package/received/none/plain');
  expect(existsSync(join(result.kept as string, 'service-0.log'))).toBe(true);
}

/** The process ids of the services that a run has started, read from their logs. */
function startedServices(folder: string): number[] {
  return globSync(`${folder}/prove-*/*/service-*.log`).flatMap((log) => {
    const pid = /"pid":(\d+)/.exec(readFileSync(log, 'utf8'))?.[1];
    return pid ? [Number(pid)] : [];
  });
}
