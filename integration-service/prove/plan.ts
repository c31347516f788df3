import { customerSync } from './customer-sync/proof.ts';
import type { KillPoint } from './kill-point.ts';
import type { Proof, Setting, Source } from './proof.ts';
import { welcomePackage } from './welcome-package/proof.ts';

/** The proofs of all flows; no other file of the prover names a flow. */
export const PROOFS: readonly Proof[] = [welcomePackage, customerSync];

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
  /** Kills at random times for each source whose cells kill at steps, too, or fewer by its weight. */
  kills: number;
  /** Disturbances of each other source, or fewer by its weight. */
  disturbances: number;
  /** Records meanwhile. */
  customers: number;
  /** Only a part of the cells, in which every fault and kind of target occurs, and every kill point of some flow. */
  quick: boolean;
  /** Only cells with this in their name. */
  only?: string | undefined;
}

/** A quick plan has one of this many kill points per fault and kind of target. */
const QUICK_STEP = 7;
const RECORDS_PER_STEP = 6;
const RECORDS_PER_KILL = 4;

/** All cells of a run, the longest first. */
export function planCells(options: PlanOptions): Cell[] {
  const isAsked = ({ name }: Source) => options.sources.includes(name);
  return PROOFS.flatMap((proof) =>
    proof.sources.filter(isAsked).flatMap((source) => {
      const settings = source.faults.flatMap((fault) =>
        proof.targetKinds.map((targetKind) => ({ proof, source, fault, targetKind })),
      );
      return source.killPoints.length > 0
        ? planKills(settings, source.killPoints, options)
        : planDisturbances(settings, options);
    }),
  )
    .filter(({ name }) => name.includes(options.only ?? ''))
    .toSorted((a, b) => b.disturbances - a.disturbances);
}

function planDisturbances(settings: Setting[], options: PlanOptions): Cell[] {
  const kinds = settings[0]?.proof.targetKinds.length ?? 1;
  const chosen = settings.filter((_, i) => !options.quick || i % (kinds + 1) === 0);
  const disturbances = weigh(options.disturbances, settings);
  return chosen.map((setting, i) => ({
    ...{ ...setting, name: nameOf(setting, setting.source.name) },
    disturbances: shareOf(disturbances, i, chosen.length),
    records: shareOf(options.customers, i, chosen.length),
  }));
}

function planKills(
  settings: Setting[],
  points: readonly KillPoint[],
  { kills, quick }: PlanOptions,
): Cell[] {
  const atRandom = settings.map((setting, i): Cell => {
    const disturbances = shareOf(weigh(kills, settings), i, settings.length);
    const records = disturbances * RECORDS_PER_KILL;
    return { ...setting, name: nameOf(setting, 'random'), disturbances, records };
  });
  const atPoints = points.flatMap((point, p) =>
    settings
      .filter((_, i) => !quick || (p + i * 5) % QUICK_STEP === 0)
      .map((setting): Cell => {
        const name = nameOf(setting, point.step);
        return { ...setting, name, point, disturbances: 1, records: RECORDS_PER_STEP };
      }),
  );
  return [...atRandom.filter(({ disturbances }) => disturbances > 0), ...atPoints];
}

/** What a source gets of an amount that is asked for. */
function weigh(amount: number, [setting]: Setting[]): number {
  return Math.ceil(amount / (setting?.source.weight ?? 1));
}

/** The share of the `i`-th of `count`. The remainder goes to some far from each other. */
function shareOf(amount: number, i: number, count: number): number {
  return Math.floor((amount + ((i * 5) % count)) / count);
}

function nameOf({ proof, fault, targetKind }: Setting, when: string): string {
  return `${proof.flow}/${when}/${fault}/${targetKind}`;
}

/** Kills per group, one process after the other: starting a process is most of the cost of a cell. */
const KILLS_IN_TURN = 4;

/** Groups cells that share a stage: a few kills at steps in the same setting, if one process runs at a time. */
export function groupCells(cells: Cell[], replicas: number): Cell[][] {
  const size = replicas === 1 ? KILLS_IN_TURN : 1;
  const alike = Map.groupBy(cells, (cell) => (cell.point ? nameOf(cell, 'steps') : cell.name));
  return [...alike.values()].flatMap((all) =>
    Array.from({ length: Math.ceil(all.length / size) }, (_, i) =>
      all.slice(i * size, (i + 1) * size),
    ),
  );
}
