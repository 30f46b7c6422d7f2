/**
 * What everyday uses cost beside the least that they could, or beside the plain way. `bun bench/use/main.ts` or
 * `deno run -A bench/use/main.ts`, with names of rows for some of them only. Contender and baseline take turns, and the
 * result of every round is checked. The last line is JSON with the targets. Options: `--rounds=11`.
 */
import process from "node:process";
import { dataRows } from "./data.ts";
import { dataMemoryRows } from "./data_memory.ts";
import { generateRows } from "./generate.ts";
import { precisionRows } from "./precision.ts";
import { rollbackRows } from "./rollback.ts";
import type { MeasureRows, UseRow } from "./row.ts";

/** By the name that runs it alone. */
const ROWS: Readonly<Record<string, MeasureRows>> = {
  generate: generateRows,
  rollback: rollbackRows,
  data: dataRows,
  memory: dataMemoryRows,
  precision: precisionRows,
};

const names = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const unknown = names.filter((name) => !(name in ROWS));
if (unknown.length > 0) {
  throw new RangeError(`There is no row ${unknown.join(", ")}; there are ${Object.keys(ROWS).join(", ")}`);
}
const asked = process.argv.find((argument) => argument.startsWith("--rounds="))?.split("=")[1];
const rounds = Math.max(7, Number(asked ?? 11));
const targets: (UseRow & { readonly holds: boolean })[] = [];
for (const [name, measure] of Object.entries(ROWS)) {
  if (names.length > 0 && !names.includes(name)) continue;
  for (const row of await measure({ rounds })) {
    const { measured, target, bound, spread } = row;
    const holds = bound === "at most" ? measured <= target : measured >= target;
    targets.push({ ...row, holds });
    const figures = `${measured.toFixed(3).padStart(9)}  ${bound} ${target}  spread ${spread.toFixed(2)}`;
    console.log(`${row.name.padEnd(52)} ${figures}  ${holds ? "holds" : "DOES NOT HOLD"}  (${row.detail})`);
  }
}
console.log(JSON.stringify({ bench: "use", runtime: navigator.userAgent, rounds, targets }));
