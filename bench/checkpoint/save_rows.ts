import { rmSync } from "node:fs";
import { join } from "node:path";
import { checkBareFile } from "./disk.ts";
import { raced, rate, slowestOf, type Timed, timedOf } from "./figures.ts";
import { saveNaively } from "./naive.ts";
import type { RowContext } from "./rows.ts";
import { type Mode, MODES, Saver } from "./saver.ts";
import { TfjsPeer } from "./tfjs.ts";
import { type Contender, median, ratioOf } from "../interleaved.ts";

const STORED = " of the stored bytes";
const ENCODE = "encode on both cores";
/** Below so many bytes a second it pays to write less. */
const SLOW = 1e9;
/** How many times as fast as the naive way, where the disk lets it be. */
const TIMES_NAIVE = 4;

/** Rows 1 to 3: durable saves against bare durable writes, the naive way, and TensorFlow.js. */
export async function benchSaves(context: RowContext): Promise<void> {
  const { state, ceilings, directory, rounds, wants } = context;
  const savers = MODES.map((mode) => new Saver(state, directory, mode));
  const peer = wants(3) ? await TfjsPeer.start(state).catch((error: Error) => error.message) : undefined;
  const contenders: Contender<unknown>[] = [
    ...savers.map((saver) => saver.contender()),
    ...ceilings.durableWrites(),
    ...wants(1, 2) ? ceilings.durableWrites(ceilings.storedBytes, STORED) : [],
    ...wants(1) ? [ceilings.encoding()] : [],
    ...wants(2) ? [naiveSave(context)] : [],
    ...peer instanceof TfjsPeer ? [{ name: "tfjs", run: () => peer.save(), check: () => {} }] : [],
  ];
  try {
    const times = await raced(contenders, rounds);
    times.delete("tfjs");
    for (const [name, timed] of times) {
      times.set(name, ceilings.scaled(name, timed));
      console.log(`  ${name.padEnd(48)} ${rate(state.bytes.byteLength, timedOf(times, name))}`);
    }
    for (const saver of savers) saver.print();
    for (const mode of MODES) addTargets(context, mode, { times, peer });
  } finally {
    if (peer instanceof TfjsPeer) peer.close();
    for (const saver of savers) await saver.close();
  }
}

/** What was measured of the saves. */
interface Measured {
  readonly times: ReadonlyMap<string, Timed>;
  readonly peer: TfjsPeer | string | undefined;
}

function addTargets(context: RowContext, mode: Mode, measured: Measured): void {
  const { wants } = context;
  if (wants(1)) addAgainstBareWrite(context, mode, measured);
  if (wants(2)) addAgainstNaive(context, mode, measured);
  if (wants(3)) addAgainstTfjs(context, mode, measured);
}

/** The faster of two bare loops, of all bytes or of the stored ones. */
function bareWrite(times: ReadonlyMap<string, Timed>, what = ""): Timed {
  const names = ["buffered", "O_DIRECT"].map((how) => `bare write loop${what}, ${how}`);
  return slowestOf(names.filter((name) => times.has(name)).map((name) => timedOf(times, name)), "fastest");
}

function addAgainstBareWrite({ state, figures }: RowContext, mode: Mode, { times }: Measured): void {
  const { ms } = timedOf(times, `save, ${mode}`);
  if (mode === "fast") {
    const bare = bareWrite(times);
    const isSlow = 1000 * state.bytes.byteLength / median(bare.ms) < SLOW;
    const name = "row 1, save by fast, rate against a bare durable write loop";
    return figures.add(name, ratioOf(bare.ms, ms), isSlow ? ">= 1.1" : ">= 0.92");
  }
  // They go on beside each other, so that a save takes as long as the slower one.
  const [write, encode] = [bareWrite(times, STORED), timedOf(times, ENCODE)];
  const slower = slowestOf([write, encode]);
  console.log(`  what a save by ${mode} waits for is ${slower === write ? "the disk" : "encoding"}`);
  figures.add(
    `row 1, save by ${mode}, rate against the slower of a bare durable write loop of the stored bytes and ${ENCODE}`,
    ratioOf(slower.ms, ms),
    ">= 0.85",
  );
}

/**
 * Where the disk alone takes more than a quarter of the naive way, no save is four times as fast: then the disk is
 * the measure.
 */
function addAgainstNaive({ figures }: RowContext, mode: Mode, { times }: Measured): void {
  const { ms } = timedOf(times, `save, ${mode}`);
  const naive = timedOf(times, "naive save").ms;
  const disk = mode === "fast"
    ? slowestOf([bareWrite(times), bareWrite(times, STORED)], "fastest")
    : bareWrite(times, STORED);
  const faster = ratioOf(naive, ms);
  const possible = median(naive) / median(disk.ms);
  console.log(
    `  save by ${mode}: ${faster.measured.toFixed(2)} times as fast as the naive way; the disk allows ${
      possible.toFixed(2)
    }`,
  );
  if (0.9 * possible >= TIMES_NAIVE) {
    figures.add(`row 2, save by ${mode}, times as fast as the naive way`, faster, `>= ${TIMES_NAIVE}`);
  } else {
    const name = `row 2, save by ${mode}, part of what the disk allows over the naive way`;
    figures.add(name, ratioOf(disk.ms, ms), ">= 0.9");
  }
}

/** TensorFlow.js hands the bytes over in memory; what comes after it is a durable write, as of ours. */
function addAgainstTfjs({ state, figures }: RowContext, mode: Mode, { times, peer }: Measured): void {
  const versus = `row 3, durable save by ${mode}, times as fast as tfjs model.save and a bare durable write`;
  if (typeof peer === "string") return figures.absent(versus, "> 1", peer);
  if (peer === undefined) return;
  const theirs = peer.saveMs.slice(1);
  const write = bareWrite(times).ms;
  const speed = state.bytes.byteLength / median(theirs) / 1e3;
  console.log(`  tfjs model.save to memory (backend ${peer.backend}): ${speed.toFixed(0)} MB/s`);
  const durable = theirs.map((ms, round) => ms + (write[round] ?? NaN));
  figures.add(versus, ratioOf(durable, timedOf(times, `save, ${mode}`).ms), "> 1");
}

function naiveSave({ state, directory, disk }: RowContext): Contender<unknown> {
  const path = join(directory, "naive");
  return {
    name: "naive save",
    run: async () => {
      state.mark();
      await saveNaively(state.store, path, disk);
    },
    check: () => {
      checkBareFile(state, path, state.places());
      rmSync(path);
    },
  };
}
