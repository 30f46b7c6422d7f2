import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeNpyHeader } from "../../src/exchange/numpy/npy_header.ts";
import { runChild, runtimeCommand } from "../../tests/helpers/child.ts";
import { median } from "../interleaved.ts";
import type { MeasureRows, UseRow } from "./row.ts";

const MIB = 2 ** 20;
const [FEATURES, BATCH] = [16_384, 64];
const ROW_BYTES = FEATURES * 4;
const [SMALL, LARGE] = [64 * MIB, 2048 * MIB];
/** A process each, of which the larger one reads 2 GiB. */
const ROUNDS = 3;

/** The peak of a process's memory in an epoch over 2 GiB of a file, above that in an epoch over 64 MiB. */
export const dataMemoryRows: MeasureRows = async () => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-data-"));
  try {
    const files = [SMALL, LARGE].map((bytes) => ({ bytes, path: fileOf(folder, bytes) }));
    const rows: UseRow[] = [];
    for (const as of ["map", "stream"]) {
      const peaks = new Map<number, number[]>(files.map(({ bytes }) => [bytes, []]));
      for (let round = 0; round < ROUNDS; round++) {
        for (const { bytes, path } of round % 2 === 0 ? files : [...files].reverse()) {
          peaks.get(bytes)?.push(await peakOf(path, as, bytes));
        }
      }
      const [small = [], large = []] = [SMALL, LARGE].map((bytes) => peaks.get(bytes));
      const above = large.map((peak, round) => (peak - (small[round] ?? NaN)) / MIB).sort((a, b) => a - b);
      const mib = (list: readonly number[]): string => (median(list) / MIB).toFixed(0);
      rows.push({
        name: `peak of memory, MiB: 2 GiB above 64 MiB, as a ${as}`,
        measured: median(above),
        target: 128,
        bound: "at most",
        spread: ((above.at(-1) ?? NaN) - (above[0] ?? NaN)) / 128,
        detail: `${mib(large)} and ${mib(small)} MiB, ${ROUNDS} processes each; spread by the target`,
      });
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** An npy file of zeros, which need no place on the disk. */
function fileOf(folder: string, bytes: number): string {
  const path = join(folder, `${bytes / MIB}.npy`);
  const header = encodeNpyHeader("f32", [bytes / ROW_BYTES, FEATURES]);
  writeFileSync(path, header);
  truncateSync(path, header.byteLength + bytes);
  return path;
}

async function peakOf(path: string, as: string, bytes: number): Promise<number> {
  const script = new URL("./data_pass.ts", import.meta.url);
  const { status, output } = await runChild([...runtimeCommand(script), `--file=${path}`, `--as=${as}`]);
  const { steps, peak } = JSON.parse(output.trim().split("\n").at(-1) ?? "") as {
    steps: number;
    peak: number;
  };
  if (status === 0 && steps === bytes / ROW_BYTES / BATCH) return peak;
  throw new Error(`The pass ended with ${status} after ${steps} steps`);
}
