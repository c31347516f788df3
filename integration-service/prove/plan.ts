import type { KillPoint } from './kill-point.ts';
import type { Proof, Setting, Source } from './proof.ts';
import { welcomePackage } from './welcome-package/proof.ts';

/** The proofs of all flows; no other file of the prover names a flow. */
export const PROOFS: readonly Proof[] = [welcomePackage];

/** One experiment. */
export interface Cell extends Setting {
  /** `<flow>/<step, random or source>/<fault>/<kind of target>`. Also seeds the random choices. */
  name: string;
  /** Where the service is killed, once. Default: it is disturbed in other ways. */
  point?: KillPoint;
  /** Number of kills and of whatever else disturbs it. */
  disturbances: number;
  /** Number of records that come at least. */
  records: number;
}

export interface PlanOptions {
  /** The names of the sources. */
  sources: readonly string[];
  /** Kills at random times for each source whose cells kill at steps, too. */
  kills: number;
  /** Disturbances of each other source. */
  disturbances: number;
  /** Records meanwhile. */
  customers: number;
  /** Only some of the kill points under each fault. */
  quick: boolean;
  /** Only cells with this in their name. */
  only?: string | undefined;
}

/** A quick plan has one of this many kill points per fault and kind of target; every kill point occurs. */
const QUICK_STEP = 7;
const RECORDS_PER_STEP = 6;
const RECORDS_PER_KILL = 4;

/** All cells of a run, the longest first. */
export function planCells(options: PlanOptions): Cell[] {
  return PROOFS.flatMap((proof) =>
    proof.sources
      .filter(({ name }) => options.sources.includes(name))
      .flatMap((source) => planSource(proof, source, options)),
  )
    .filter(({ name }) => name.includes(options.only ?? ''))
    .toSorted((a, b) => b.disturbances - a.disturbances);
}

function planSource(proof: Proof, source: Source, options: PlanOptions): Cell[] {
  const { killPoints, faults } = source;
  const settings = faults.flatMap((fault) =>
    proof.targetKinds.map((targetKind): Setting => ({ proof, source, fault, targetKind })),
  );
  const isKilledAtSteps = killPoints.length > 0;
  const atRandom = settings.map((setting, i): Cell => {
    // The remainder goes to faults far from each other.
    const rank = (i * 5) % settings.length;
    const share = (amount: number) => Math.floor((amount + rank) / settings.length);
    const name = nameOf(setting, isKilledAtSteps ? 'random' : source.name);
    const disturbances = share(isKilledAtSteps ? options.kills : options.disturbances);
    const records = isKilledAtSteps ? disturbances * RECORDS_PER_KILL : share(options.customers);
    return { ...setting, name, disturbances, records };
  });
  const atPoints = killPoints.flatMap((point, p) =>
    settings
      .filter((_, i) => !options.quick || (p + i * 5) % QUICK_STEP === 0)
      .map((setting): Cell => {
        const name = nameOf(setting, point.step);
        return { ...setting, name, point, disturbances: 1, records: RECORDS_PER_STEP };
      }),
  );
  return [...atRandom.filter(({ records }) => records > 0), ...atPoints];
}

function nameOf({ proof, fault, targetKind }: Setting, when: string): string {
  return `${proof.flow}/${when}/${fault}/${targetKind}`;
}

/** Kills per group, one process after the other: starting a process is most of the cost of a cell. */
const KILLS_IN_TURN = 4;

/** Groups cells that share a stage: a few kills at steps in the same setting, if one process runs at a time. */
export function groupCells(cells: Cell[], replicas: number): Cell[][] {
  const size = replicas === 1 ? KILLS_IN_TURN : 1;
  const alike = Map.groupBy(cells, (cell) =>
    cell.point ? nameOf(cell, cell.source.name) : cell.name,
  );
  return [...alike.values()].flatMap((all) =>
    Array.from({ length: Math.ceil(all.length / size) }, (_, i) =>
      all.slice(i * size, (i + 1) * size),
    ),
  );
}
