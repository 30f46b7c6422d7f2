import process from "node:process";
import { forged } from "../../container/forge.ts";
import { mutate, mutateParts, tryAll } from "../../container/mutations.ts";
import { randomNumbers } from "../../container/samples.ts";
import { cpuMs } from "../../helpers/cpu_time.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { CODECS, smallFile, verdictOf } from "./files.ts";

const COUNT = Number(process.env.CAIRN_FUZZ_COUNT ?? 200_000);
const SEED = Number(process.env.CAIRN_FUZZ_SEED ?? 20261122);
const MOST_MS = 1000;

/**
 * Row L2: random changes of a file's structure. Half of them come with all checksums right, so that every rule behind
 * the checksums is reached: such a file may be another good one (another name, another number in the state). The
 * other half are plain damage, of which nothing may be accepted.
 */
export async function fuzz(campaign: Campaign): Promise<void> {
  const share = Math.ceil(COUNT / CODECS.length);
  for (const codec of CODECS) {
    await campaign.row("L2", `fuzzer, seed ${SEED} (${codec})`, (row) => fuzzCodec(codec, share, row));
  }
}

async function fuzzCodec(codec: (typeof CODECS)[number], count: number, row: RowRecorder): Promise<void> {
  const { bytes: file, tensors } = await smallFile(codec);
  let [damaged, others, slowest] = [0, 0, 0];
  for (let run = 0, inputs = 0; inputs < count; run++) {
    const next = randomNumbers(SEED + run);
    const isForged = run % 2 === 0;
    const changed = isForged ? forged(file, (parts) => mutateParts(parts, next)) : mutate(file, next);
    if (Buffer.compare(changed, file) === 0) continue;
    inputs++;
    row.point();
    const start = cpuMs();
    try {
      if (isForged) others += Number(await tryAll(changed));
      else if (await verdictOf(changed, tensors) === "accepted") {
        row.fail(`damage of seed ${SEED + run} was accepted`);
      }
      damaged += Number(!isForged);
    } catch (error) {
      row.fail(`CAIRN_FUZZ_SEED=${SEED + run} CAIRN_FUZZ_COUNT=1: ${error}`);
    }
    slowest = Math.max(slowest, cpuMs() - start);
    if (({} as { polluted?: unknown }).polluted !== undefined) {
      row.fail(`seed ${SEED + run} changed a prototype`);
    }
  }
  if (slowest > MOST_MS) row.fail(`one input took ${slowest.toFixed(0)} ms`);
  // If most changes made good files, the reader would check too little.
  if (others > count / 10) row.fail(`${others} of ${count} changed files are good ones`);
  row.note(
    `${damaged} plain damage, the rest with right checksums, ${others} of which are another good file; slowest ${
      slowest.toFixed(0)
    } ms`,
  );
}
