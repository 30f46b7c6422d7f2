import { rmSync } from "node:fs";
import { join } from "node:path";
import { checkBareFile, hasDirectWrites, writeBare } from "./disk.ts";
import { raced, rate, type Timed, timedOf } from "./figures.ts";
import { saveNaively } from "./naive.ts";
import type { RowContext } from "./rows.ts";
import { type Mode, MODES, Saver } from "./saver.ts";
import type { BenchState } from "./state.ts";
import { TfjsPeer } from "./tfjs.ts";
import { type Contender, median, ratioOf } from "../interleaved.ts";

/** Rows 1 to 3: durable saves against a bare write, the naive way, and TensorFlow.js. */
export async function benchSaves(context: RowContext): Promise<void> {
  const { state, directory, rounds, wants } = context;
  const savers = MODES.map((mode) => new Saver(state, directory, mode));
  const peer = wants(3) ? await TfjsPeer.start(state).catch((error: Error) => error.message) : undefined;
  const contenders: Contender<unknown>[] = [
    ...savers.map((saver) => saver.contender()),
    ...wants(1) ? bareWrites(state, directory) : [],
    ...wants(2) ? [naiveSave(state, directory)] : [],
    ...peer instanceof TfjsPeer ? [{ name: "tfjs", run: () => peer.save(), check: () => {} }] : [],
  ];
  try {
    const times = await raced(contenders, rounds);
    times.delete("tfjs");
    for (const [name, timed] of times) {
      console.log(`  ${name.padEnd(42)} ${rate(state.bytes.byteLength, timed)}`);
    }
    for (const saver of savers) saver.print();
    for (const mode of MODES) addTargets(context, mode, times, peer);
  } finally {
    if (peer instanceof TfjsPeer) peer.close();
    for (const saver of savers) await saver.close();
  }
}

function addTargets(
  { state, figures, wants }: RowContext,
  mode: Mode,
  times: ReadonlyMap<string, Timed>,
  peer: TfjsPeer | string | undefined,
): void {
  const { ms } = timedOf(times, `save, ${mode}`);
  if (wants(1)) {
    const bare = [...times].filter(([name]) => name.startsWith("bare write")).map(([, timed]) => timed.ms);
    const fastest = bare.sort((a, b) => median(a) - median(b))[0] ?? [];
    figures.add(`row 1, save by ${mode}, rate against a bare write loop`, ratioOf(fastest, ms), ">= 0.85");
  }
  if (wants(2)) {
    const least = state.store.gpu.hasBlockingFences ? ">= 10" : ">= 4";
    const ratio = ratioOf(timedOf(times, "naive save").ms, ms);
    figures.add(`row 2, save by ${mode}, times as fast as the naive way`, ratio, least);
  }
  const versus = `row 3, durable save by ${mode}, times as fast as tfjs model.save to memory`;
  if (typeof peer === "string") figures.absent(versus, "> 1", peer);
  else if (peer !== undefined) {
    const theirs = peer.saveMs.slice(1);
    const speed = state.bytes.byteLength / median(theirs) / 1e3;
    console.log(`  tfjs model.save (backend ${peer.backend}), not durable: ${speed.toFixed(0)} MB/s`);
    figures.add(versus, ratioOf(theirs, ms), "> 1");
  }
}

function bareWrites(state: BenchState, directory: string): Contender<unknown>[] {
  return [false, ...hasDirectWrites ? [true] : []].map((isDirect) => {
    const path = join(directory, isDirect ? "direct" : "buffered");
    return {
      name: `bare write loop, ${isDirect ? "O_DIRECT" : "buffered"}`,
      run: () => {
        state.mark();
        writeBare(state, path, isDirect);
      },
      check: () => {
        checkBareFile(state, path, true);
        rmSync(path);
      },
    };
  });
}

function naiveSave(state: BenchState, directory: string): Contender<unknown> {
  const path = join(directory, "naive");
  return {
    name: "naive save",
    run: async () => {
      state.mark();
      await saveNaively(state.store, path);
    },
    check: () => {
      checkBareFile(state, path, false);
      rmSync(path);
    },
  };
}
