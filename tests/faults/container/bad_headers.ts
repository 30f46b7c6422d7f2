import { createHash } from "node:crypto";
import { BAD } from "../../container/bad_files.ts";
import { codeOf, goodFile } from "../../container/file_edits.ts";
import { forged } from "../../container/forge.ts";
import { cpuMs } from "../../helpers/cpu_time.ts";
import { peakGrowth } from "../../helpers/peak_memory.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { type Case, numberCases } from "./number_cases.ts";
import { textCases } from "./text_cases.ts";
import { writerCases } from "./writer_cases.ts";

const MOST_MS = 1000;
const MOST_BYTES = 64 << 20;

/**
 * Rows G1, G2, H1, H2 and H3: files that are wrong in one way each although every checksum is right, and state that
 * our own writer has to refuse.
 *
 * @returns A digest of all (name, code) pairs, which has to be the same in every runtime.
 */
export async function badHeaders(campaign: Campaign): Promise<string> {
  const good = await goodFile();
  const pairs: string[] = [];
  const families: [string, string, readonly Case[]][] = [
    ["G1", "each numeric field with each edge value", numberCases()],
    [
      "G2",
      "ranges, tables, names and codes (named files of the tests)",
      BAD.map(([name, , edit]) => [name, edit]),
    ],
    ["H1", "names, keys and manifests that are no canonical JSON", textCases()],
  ];
  for (const [row, what, cases] of families) {
    await campaign.row(row, what, (recorder) => refuseAll(good, cases, recorder, pairs));
  }
  await campaign.row("H3", "state that our own writer refuses, and state that it keeps", writerCases);
  const digest = createHash("sha256").update(pairs.sort().join("\n")).digest("hex").slice(0, 16);
  console.log(`     ${pairs.length} named bad files; digest of their names and codes ${digest}`);
  return digest;
}

async function refuseAll(
  good: Uint8Array,
  cases: readonly Case[],
  row: RowRecorder,
  pairs: string[],
): Promise<void> {
  const byCode: Record<string, number> = {};
  let slowest = 0;
  let largest = 0;
  for (const [name, edit] of cases) {
    const file = forged(good, edit);
    // The value that is there already.
    if (Buffer.compare(file, good) === 0) continue;
    row.point();
    let code = "";
    const start = cpuMs();
    const growth = await peakGrowth(async () => {
      code = await codeOf(file).catch((error: unknown) => `${error}`);
    });
    const took = cpuMs() - start;
    slowest = Math.max(slowest, took);
    largest = Math.max(largest, growth);
    byCode[code] = (byCode[code] ?? 0) + 1;
    pairs.push(`${name}\t${code}`);
    if (
      !/^(not_a_container|truncated|invalid_container|checksum_mismatch|unsupported|limit_exceeded)$/.test(
        code,
      )
    ) {
      row.fail(`${name}: ${code}`);
    }
    if (took > MOST_MS) row.fail(`${name} took ${took.toFixed(0)} ms`);
    if (growth > Math.max(MOST_BYTES, 2 * file.byteLength)) row.fail(`${name} took ${growth >> 20} MiB`);
    if (({} as { polluted?: unknown }).polluted !== undefined) row.fail(`${name} changed a prototype`);
  }
  row.note(Object.entries(byCode).sort().map(([code, count]) => `${code} ${count}`).join(", "));
  row.note(
    `slowest ${slowest.toFixed(0)} ms, most memory ${(largest / 2 ** 20).toFixed(0)} MiB above the start`,
  );
}
