/**
 * How fast is training beside jax-js and TensorFlow.js? `npm run bench -- train`.
 *
 * Matmuls, and whole training steps, on WebGPU in this very runtime. Each contender is a process of its own; rounds
 * are interleaved: each runs every contender once, so that a busy machine disturbs all alike. Every run is checked:
 * products against float64, weights after training against one another. A ratio is the median of those of the rounds,
 * in brackets its quartiles; first by the processor time of the GPU's threads, which is what counts on an adapter that
 * is a CPU and others use too, then by the clock. Then the parts that `parts.ts` lists. The last line
 * is JSON. Options: `--rounds=7`, `--rows=step` for those whose name contains it and no parts, `--parts=streams` for such
 * parts and no rows, `--provider=dawn`.
 */
import process from "node:process";
import { median } from "../interleaved.ts";
import { besideOpenBlas, partsNamed, runPart } from "./parts.ts";
import { expectedOf, type Row, ROWS } from "./jobs.ts";
import { type ContenderName, CONTENDERS, Peer, type TimedRun } from "./peer.ts";

/** What a run of Cairn takes at least, so that a wait for the GPU counts little. */
const RUN_MS = 200;

/** How far results may lie apart, of the largest of them. */
const TOLERANCES = { matmul: 1e-4, mlp: 0.03, lstm: 0.03, cnn: 0.03, transformer: 0.03 } as const;

const rounds = Number(option("rounds") ?? 7);
const provider = option("provider") ?? (process.versions.deno === undefined ? "dawn" : "native");
const wantedParts = option("parts");
const wantedRows = option("rows") ?? (wantedParts === undefined ? "" : undefined);
const rows = ROWS.filter(({ name }) => wantedRows !== undefined && name.includes(wantedRows));
const figures = await measureAll();
const large = figures.find(({ name }) => name.includes("1024 x 1024 x 1024"));
const openblas = large === undefined ? undefined : besideOpenBlas(large.ms);
const parts: Record<string, unknown> = {};
if (option("rows") === undefined) {
  for (const name of partsNamed(wantedParts ?? "")) parts[name] = runPart(name);
}
console.log(JSON.stringify({
  bench: "train",
  runtime: navigator.userAgent,
  provider,
  rounds,
  rows: figures,
  openblas,
  parts,
  isHeld: figures.every(({ isHeld }) => isHeld),
}));
process.exit(0);

function option(name: string): string | undefined {
  return process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3);
}

async function measureAll(): Promise<Figure[]> {
  if (rows.length === 0) return [];
  const all = Object.keys(CONTENDERS).map((name) => new Peer(name as ContenderName, provider));
  const found: Figure[] = [];
  for (const row of rows) found.push(figureOf(row, await measure(row, all)));
  for (const peer of all) peer.close();
  return found;
}

/** The timed runs of each contender, by round, and how many repetitions each had. */
interface Measured {
  readonly runs: ReadonlyMap<ContenderName, readonly TimedRun[]>;
  readonly repetitions: number;
}

async function measure({ name, spec, peers: others }: Row, peers: readonly Peer[]): Promise<Measured> {
  const jobs = new Map<Peer, number>();
  const timed = peers.filter((peer) => peer.name === "cairn" || (others?.includes(peer.name) ?? true));
  for (const peer of timed) jobs.set(peer, await peer.prepare(spec));
  const [cairn] = timed;
  if (cairn === undefined) throw new Error("nobody is timed");
  let repetitions = 1;
  // What training gives depends on the number of its steps.
  if (spec.kind === "matmul") {
    const { ms } = await cairn.run(jobs.get(cairn) ?? 0, 4);
    repetitions = Math.ceil(RUN_MS / (ms / 4));
  }
  const expected = spec.kind === "matmul" ? expectedOf(spec) : undefined;
  const runs = new Map<ContenderName, TimedRun[]>(timed.map((peer) => [peer.name, []]));
  for (let round = 0; round < rounds; round++) {
    let reference = expected;
    for (const peer of timed) {
      const run = await peer.run(jobs.get(peer) ?? 0, repetitions);
      reference ??= [...run.results];
      requireNear(`${peer.name}, ${name}`, run.results, reference, TOLERANCES[spec.kind]);
      runs.get(peer.name)?.push(run);
    }
  }
  return { runs, repetitions: repetitions * (spec.kind === "matmul" ? 1 : spec.steps) };
}

function requireNear(
  what: string,
  found: readonly number[],
  expected: readonly number[],
  tolerance: number,
): void {
  const largest = Math.max(...expected.map(Math.abs));
  expected.forEach((value, index) => {
    if (Math.abs((found[index] ?? NaN) - value) <= tolerance * largest) return;
    throw new Error(`${what}: result ${index} is ${found[index]}, not ${value}`);
  });
}

/** Ratios of the rounds. */
interface Ratio {
  readonly median: number;
  readonly quartiles: readonly [number, number];
}

interface Figure {
  readonly name: string;
  /** Milliseconds of one repetition of Cairn's. */
  readonly gpuMs: number;
  readonly ms: number;
  /** How many times longer a peer takes, by the GPU's threads, by all threads and by the clock. */
  readonly peers: readonly {
    readonly name: string;
    readonly gpu: Ratio;
    readonly cpu: Ratio;
    readonly wall: Ratio;
  }[];
  readonly target: number;
  readonly isHeld: boolean;
}

function figureOf({ name, target }: Row, { runs, repetitions }: Measured): Figure {
  const own = runs.get("cairn") ?? [];
  const others = [...runs].filter(([peer]) => peer !== "cairn").map(([peer, theirs]) => ({
    name: peer,
    gpu: ratioOf(theirs, own, ({ gpuMs, cpuMs }) => gpuMs ?? cpuMs),
    cpu: ratioOf(theirs, own, ({ cpuMs }) => cpuMs),
    wall: ratioOf(theirs, own, ({ ms }) => ms),
  }));
  const of = (measure: (run: TimedRun) => number) => round(median(own.map(measure)) / repetitions, 3);
  const figure: Figure = {
    name,
    gpuMs: of(({ gpuMs, cpuMs }) => gpuMs ?? cpuMs),
    ms: of(({ ms }) => ms),
    peers: others,
    target,
    isHeld: others.every(({ gpu }) => gpu.median >= target),
  };
  const text = others.map(({ name: peer, gpu, wall }) =>
    `${peer} ${textOf(gpu)}x, by the clock ${textOf(wall)}x`
  );
  console.log(
    `${name.padEnd(36)} ${figure.gpuMs.toFixed(2).padStart(8)} ms of the GPU's threads, ` +
      `${figure.ms.toFixed(2).padStart(8)} ms by the clock | ${text.join(" | ")} | ` +
      `>= ${target}: ${figure.isHeld ? "held" : "MISSED"}`,
  );
  return figure;
}

function textOf({ median, quartiles }: Ratio): string {
  return `${median.toFixed(2)} [${quartiles.map((quartile) => quartile.toFixed(2)).join(", ")}]`;
}

function ratioOf(
  theirs: readonly TimedRun[],
  own: readonly TimedRun[],
  measure: (run: TimedRun) => number,
): Ratio {
  const ratios = theirs
    .map((run, index) => measure(run) / measure(own[index] ?? run))
    .sort((a, b) => a - b);
  const at = (part: number) => round(ratios[Math.floor(part * (ratios.length - 1))] ?? NaN, 3);
  return { median: round(median(ratios), 3), quartiles: [at(0.25), at(0.75)] };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
