// How fast this machine saves and loads: weights on the GPU, in each of the three modes.
//
//   bun examples/save_load_bench/bench.ts [--quick] [directory]
//   deno run -A examples/save_load_bench/bench.ts [--quick] [directory]
//
// The result: what is loaded has the bits that were saved. A save is over when it survives a power cut, a load when
// every byte was checked; both rates are those of the tensors before compression. `npm run bench` measures all this
// with more care.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Snapshot, TensorStore } from "@cairn-ml/cairn";

const { values: { quick }, positionals: [given] } = parseArgs({
  options: { quick: { type: "boolean", default: false } },
  allowPositionals: true,
});
const MIB = 1024 ** 2;
const floats = (quick ? 8 : 128) * MIB / 4;
const directory = given ?? mkdtempSync(join(tmpdir(), "cairn-bench-"));

const store = await TensorStore.open();
store.define("model", [{ name: "weight", dtype: "f32", shape: [floats] }]);
// Like trained weights: few exponents, noise below them.
const weights = Float32Array.from({ length: floats }, (_, i) => Math.sin(i * i) / (1 + i % 7));

let isSame = true;
for (const mode of ["fast", "balanced", "small"] as const) {
  store.write({ "model.weight": weights });
  const snapshot = new Snapshot(join(directory, mode), { store }, { mode });
  const start = performance.now();
  const pending = await snapshot.save(1);
  const stallMs = performance.now() - start;
  const { seconds, bytesPerSecond, written } = await pending.wait();
  store.write({ "model.weight": new Float32Array(floats) });
  const loaded = await snapshot.restore(1);
  const found = (await store.read(["model.weight"])).get("model.weight")?.toArray();
  isSame &&= found?.every((value, i) => value === weights[i]) ?? false;
  await snapshot.close();
  console.log(
    `${mode.padEnd(8)}  saved ${rate(bytesPerSecond)} (${seconds.toFixed(2)} s, the caller waited ` +
      `${stallMs.toFixed(1)} ms), ratio ${written.ratio.toFixed(3)}, loaded ${rate(loaded.bytesPerSecond)}`,
  );
}
console.log(`done: ${floats * 4 / MIB} MiB; the same bits were loaded: ${isSame ? "yes" : "NO"}`);
process.exitCode = isSame ? 0 : 1;
await store.close();
if (given === undefined) rmSync(directory, { recursive: true });

function rate(bytesPerSecond: number): string {
  return `${(bytesPerSecond / 1e9).toFixed(3)} GB/s`;
}
