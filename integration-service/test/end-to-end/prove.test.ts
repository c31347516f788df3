import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PROOFS, planCells } from '../../prove/plan.ts';
import type { Proof, Systems } from '../../prove/proof.ts';
import { formatBadCell, formatVerdict, isGood } from '../../prove/report.ts';
import type { CellResult } from '../../prove/result.ts';
import { runCells } from '../../prove/run.ts';
import { isDeep } from '../runs.ts';
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
 * @param sabotage what the systems at both ends are made to do
 */
async function runCell(
  only: string,
  sabotage: (systems: Systems) => Systems = (systems) => systems,
  amounts = { kills: 0, customers: 0, disturbances: 0 },
): Promise<CellResult> {
  vi.stubEnv('TMPDIR', temporaryFolder());
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const sources = PROOFS.flatMap((proof) => proof.sources.map(({ name }) => name));
  const cells = planCells({ ...amounts, sources, quick: false, only }).map((cell) => {
    const open: Proof['open'] = async (...args) => sabotage(await cell.proof.open(...args));
    return { ...cell, proof: { ...cell.proof, open } };
  });
  const { signal } = new AbortController();
  expect(cells).toHaveLength(1);
  const [result] = await runCells({ cells, seed: 1, replicas: 1, signal });
  return result as CellResult;
}

/** @param countFirst what the inventory makes of the number of packages of the first customer */
function miscounting(countFirst: (packages: number) => number): (systems: Systems) => Systems {
  return (systems) => {
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
  };
}

/** Changes nothing any more when a backup was restored: a later change would make the CRM whole. */
function untilRestored(systems: Systems): Systems {
  let isRestored = false;
  return {
    ...systems,
    create: async (count) => (isRestored ? [] : systems.create(count)),
    disturbances: systems.disturbances.map(({ kind, run }) => ({
      kind,
      async run() {
        await run();
        isRestored = true;
      },
    })),
  };
}

/** Writes a customer whom the CRM has, when nothing is under way, as a person would who passes the service by. */
function editing(change: (customer: Record<string, unknown>) => object) {
  return (systems: Systems): Systems => {
    let isDone = false;
    return {
      ...systems,
      async examine(deliveries) {
        const isRight = await systems.examine?.(deliveries);
        if (isDone || !isRight) return isRight ?? true;
        isDone = true;
        const list = systems.envOf(0).CUSTOMER_SYNC_URL as string;
        const [customer] = (await (await fetch(list)).json()) as Record<string, unknown>[];
        const { status } = await fetch(`${list}/${customer?.id}`, {
          method: 'PUT',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ ...customer, ...change(customer as Record<string, unknown>) }),
        });
        expect(status).toBe(200);
        return (await systems.examine?.(deliveries)) ?? true;
      },
    };
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
    {
      args: ['--source', 'post'],
      message: /--source must be some of poll,webhook,rabbitmq,api,crm,backup/,
    },
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
    const result = await runCell(
      'received/none/plain',
      miscounting((packages) => packages * 2),
    );
    expect(result).toMatchObject({
      kills: [{ process: 0 }],
      lost: [],
      doubled: [expect.any(String)],
    });
    expectBad(result, 'FAILED: 0 lost, 1 doubled', 'welcome-package/received/none/plain');
  });

  it.runIf(isDeep)('sees a package that the inventory has lost', async () => {
    const result = await runCell(
      'received/none/plain',
      miscounting(() => 0),
    );
    expect(result).toMatchObject({
      kills: [{ process: 0 }],
      lost: [expect.any(String)],
      doubled: [],
    });
    expectBad(result, 'FAILED: 1 lost, 0 doubled', 'welcome-package/received/none/plain');
  });

  it('is content when nothing is wrong', async () => {
    const result = await runCell('received/none/plain');
    expect(result).toMatchObject({ kills: [{ process: 0 }], lost: [], doubled: [], problems: [] });
    expect(result.ids.length).toBeGreaterThanOrEqual(7);
    expect(isGood(result)).toBe(true);
  });
});

/** Enough customers for some to be left, and nothing that disturbs. */
const UNDISTURBED = { kills: 0, customers: 30, disturbances: 0 };

describe('the prover, of customers whom a CRM follows,', () => {
  it('is content when nothing is wrong, and tells how many changes there were', async () => {
    const result = await runCell('customer-sync/received/none');
    expect(result).toMatchObject({ kills: [{ process: 0 }], lost: [], doubled: [], problems: [] });
    expect(result.changes).toBeGreaterThan(result.ids.length);
    const { changes, ids } = result;
    const facts = `${ids.length} customers, ${changes} changes of ${ids.length} of them, 1 kills, `;
    expect(formatVerdict([result], 1)).toContain(facts);
  });

  it('sees a field that the CRM has otherwise', async () => {
    const byHand = editing(() => ({ version: undefined, phone: 'by hand' }));
    const result = await runCell('customer-sync/crm/none', byHand, UNDISTURBED);
    expect(result).toMatchObject({ lost: [expect.any(String)], doubled: [] });
    expect(result.problems).toContainEqual(expect.stringMatching(/at the CRM, phone is "by hand"/));
    expectBad(result, 'FAILED: 1 lost, 0 doubled', 'customer-sync/crm/none/guarded');
  });

  it.runIf(isDeep)('takes no dead letter for an answer when no backup was restored', async () => {
    const ahead = editing(({ version }) => ({ version: Number(version) + 5 }));
    const result = await runCell('customer-sync/crm/none', ahead, UNDISTURBED);
    expect(result.problems).toEqual(['not all was delivered: 1 dead']);
  });

  it.runIf(isDeep)('sees customers whom the CRM has lost, and who are not sent again', async () => {
    const result = await runCell(
      'customer-sync/crm/none',
      (systems) => ({
        ...systems,
        envOf: (process) => ({ ...systems.envOf(process), SYNC_COMPARE_SECONDS: '3600' }),
      }),
      { kills: 0, customers: 24, disturbances: 8 },
    );
    expect(result.disturbed).toEqual(['restart']);
    expect(result.lost.length).toBeGreaterThan(0);
    expect(result.problems).toContainEqual(
      expect.stringMatching(/the CRM does not have the customer/),
    );
  });

  it.runIf(isDeep)(
    'takes a dead letter that says why for an answer after a restored backup',
    async () => {
      const amounts = { kills: 0, customers: 24, disturbances: 12 };
      const result = await runCell('customer-sync/backup/none', untilRestored, amounts);
      expect(result).toMatchObject({ disturbed: ['restore'], lost: [], doubled: [], problems: [] });
      expect(result.dead).toBeGreaterThan(0);
    },
  );

  it.runIf(isDeep)(
    'sees who is behind after a restored backup, and of whom no dead letter tells',
    async () => {
      const result = await runCell(
        'customer-sync/backup/none',
        (systems) => ({
          ...untilRestored(systems),
          examine: (deliveries) =>
            systems.examine?.(
              new Map(
                [...deliveries].map(([id, own]) => [
                  id,
                  own.map((each) => ({ ...each, last_error: null })),
                ]),
              ),
            ) ?? Promise.resolve(true),
        }),
        { kills: 0, customers: 24, disturbances: 12 },
      );
      expect(result.lost.length).toBeGreaterThan(0);
      expect(isGood(result)).toBe(false);
    },
  );
});

function expectBad(result: CellResult, verdict: string, name: string): void {
  expect(isGood(result)).toBe(false);
  expect(formatVerdict([result], 1)).toContain(verdict);
  const text = formatBadCell(result, { repeat: 'npm run prove --' });
  expect(text).toMatch(/Z {2}[a-z-]+ {2}.*(delivered|found) {2}attempt \d /);
  expect(text).toContain(`--only ${name}`);
  expect(existsSync(join(result.kept as string, 'service-0.log'))).toBe(true);
}

/** The process ids of the services that a run has started, read from their logs. */
function startedServices(folder: string): number[] {
  return globSync(`${folder}/prove-*/*/service-*.log`).flatMap((log) => {
    const pid = /"pid":(\d+)/.exec(readFileSync(log, 'utf8'))?.[1];
    return pid ? [Number(pid)] : [];
  });
}
