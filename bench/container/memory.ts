/*
 * Writes one large container, and prints as JSON by how many bytes the process grew meanwhile. It is started by
 * main.ts: `memory.ts PATH CODEC MIB WORKERS`.
 */
import process from "node:process";
import { CodecPool } from "../../src/container/codec/codec_pool.ts";
import type { CodecName } from "../../src/container/codec/table.ts";
import type { TensorSpec } from "../../src/container/format/layout.ts";
import { peakGrowth } from "../../tests/helpers/peak_memory.ts";
import { MiB, writeFile } from "./files.ts";

const [path = "", codec = "raw", mib = "1024", workers = "0"] = process.argv.slice(2);
const tensors: TensorSpec[] = [{ name: "w", dtype: "f32", shape: [Number(mib), MiB / 4] }];
const start = performance.now();
let ratio = 1;
const growth = await peakGrowth(async () => {
  const pool = workers === "0" ? undefined : CodecPool.open(Number(workers));
  ({ ratio } = await writeFile({ path, tensors, codec: codec as CodecName, pool }));
  await pool?.close();
});
console.log(JSON.stringify({ growth, ratio, seconds: (performance.now() - start) / 1000 }));
process.exit(0);
