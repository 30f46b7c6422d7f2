import { randomHex } from "../base/hex.ts";
import { nodeBuiltin } from "../base/node_builtin.ts";
import { FileStorage } from "../storage/file_storage.ts";
import { type BenchContents, contentsOfFile, madeUpContents } from "./bench/contents.ts";
import { DiskCeilings } from "./bench/disk_ceilings.ts";
import { checkMachine } from "./bench/machine_check.ts";
import { benchJson, type BenchResult, benchText, checkText } from "./bench/print_bench.ts";
import { MODES, SaveAndLoad } from "./bench/save_and_load.ts";
import { measureStall } from "./bench/stall.ts";
import { sizeOf } from "./convert/size_of.ts";
import { inside, locateDirectory } from "./open/locate.ts";
import { jsonLine } from "./print/json.ts";
import type { Output } from "./print/output.ts";
import { ProgressLine } from "./print/progress.ts";
import { defineVerb, JSON_ARG, UsageError, type Verb } from "./verb.ts";

const DEFAULT_SIZE = "256MB";
const DEFAULT_ROUNDS = "4";

/** `cairn bench [DIR]`. */
export const bench: Verb = defineVerb({
  name: "bench",
  description: "Measures what this machine does: disk, saves and loads by mode, stall; or checks it",
  args: {
    dir: {
      type: "positional",
      default: ".",
      description: "On which disk; what is written there is removed again",
    },
    file: { type: "string", valueHint: "file", description: "Save and load the tensors of this file" },
    size: {
      type: "string",
      valueHint: "size",
      description: "Made-up weights, where no file is given",
      default: DEFAULT_SIZE,
    },
    rounds: {
      type: "string",
      valueHint: "number",
      description: "How often; the first is not counted",
      default: DEFAULT_ROUNDS,
    },
    check: {
      type: "boolean",
      description: "Measure nothing: say what this machine has, and what is missing",
    },
    json: JSON_ARG,
  },
  notes: [
    "Rates are raw bytes a second, the median of the rounds, in which all take turns. What is loaded is compared.",
    "The stall needs a GPU, all else does not. Close other programs; disks of virtual machines vary by the minute.",
    "",
  ],
  async run({ dir, file, size, rounds, check, json }, output) {
    if (check) {
      const found = await checkMachine();
      output.write(
        json ? jsonLine({ ...found, gpu: found.gpu && { ...found.gpu } }) : checkText(found, output),
      );
      return found.gpu === undefined ? 2 : 0;
    }
    const count = roundsOf(rounds);
    const bytes = sizeOf(size) ?? 0;
    const directory = await locateDirectory(dir);
    const contents = file === undefined ? madeUpContents(bytes) : await contentsOfFile(file);
    if (contents.byteLength === 0) throw new UsageError(`There is nothing to save in "${file}"`);
    const place = inside(directory, `.cairn-bench-${randomHex(4)}`);
    try {
      const result = { directory: dir, ...await measure(place, contents, count, output) };
      output.write(json ? jsonLine(benchJson(result)) : benchText(result, output));
      return 0;
    } finally {
      await nodeBuiltin("node:fs")?.promises.rm(place, { recursive: true, force: true });
    }
  },
});

/** All that is measured, in turns, so that a disk that changes its mind does so for all of them. */
async function measure(
  place: string,
  contents: BenchContents,
  rounds: number,
  output: Output,
): Promise<Omit<BenchResult, "directory">> {
  const storage = await FileStorage.open(place);
  await storage.makeDirectory("");
  const ceilings = new DiskCeilings(storage, contents.byteLength);
  const modes: SaveAndLoad[] = [];
  for (const mode of MODES) modes.push(await SaveAndLoad.open(storage, mode, contents));
  const line = new ProgressLine(output);
  try {
    const turns = [ceilings, ...modes];
    let done = 0;
    for (let round = 0; round < rounds; round++) {
      for (const turn of turns) {
        await turn.round();
        line.show("measuring", ++done, (turns.length + 1) * rounds);
      }
    }
    const stall = await measureStall(storage, contents, rounds);
    return { contents, rounds, ceilings, modes, stall };
  } finally {
    line.end();
    for (const mode of modes) await mode.close();
  }
}

function roundsOf(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= 1000) return rounds;
  throw new UsageError(`--rounds is ${text}, expected a whole number from 1 to 1000`);
}
