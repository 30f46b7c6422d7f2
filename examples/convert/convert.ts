// From safetensors to .cairn and back, and to npz, without a GPU and with one tensor at a time in memory.
//
//   bun examples/convert/convert.ts [model.safetensors]
//   deno run -A examples/convert/convert.ts [model.safetensors]
//
// The result: every tensor of the file that comes back has the bits that it began with. Without a file of yours it
// makes one. What is written lies beside it.
import { createHash } from "node:crypto";
import { mkdtempSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { HostTensor, openCheckpoint } from "@cairn-ml/cairn";
import {
  openSafetensors,
  saveSafetensors,
  type TensorFile,
  tensorsOfContainer,
  tensorsOfFile,
  writeCairn,
} from "@cairn-ml/cairn/exchange";
import { FileStorage } from "@cairn-ml/cairn/storage";

const [given] = process.argv.slice(2);
const folder = given === undefined ? mkdtempSync(join(tmpdir(), "cairn-convert-")) : dirname(given);
const storage = await FileStorage.open(folder);
const path = given ?? await madeUp();

const file = await openSafetensors(path); // or an address of the web, which is read by ranges
const cairn = await writeCairn(join(folder, "converted.cairn"), await tensorsOfFile(file), {
  overwrite: true,
});
console.log(`${path}: ${statSync(path).size} bytes; ${cairn.path}: ${cairn.fileBytes} bytes`);

const checkpoint = await openCheckpoint(cairn.path);
const back = "back.safetensors";
await saveSafetensors(storage, back, tensorsOfContainer(checkpoint.reader), { overwrite: true });
await checkpoint.close();

const again = await openSafetensors(join(folder, back));
const [before, after] = [await digests(file), await digests(again)];
const different = Object.keys(before).filter((name) => before[name] !== after[name]);
await file.close();
await again.close();
console.log(`done: ${Object.keys(before).length} tensors there and back, ${different.length} of them differ`);
process.exitCode = different.length === 0 ? 0 : 1;

/** A small model: weights like those of a linear layer, and its bias in bf16. */
async function madeUp(): Promise<string> {
  const numbers = Array.from({ length: 256 * 64 }, (_, i) => Math.sin(i) / 16);
  await saveSafetensors(storage, "model.safetensors", {
    "linear.weight": HostTensor.from(Float32Array.from(numbers), [256, 64]),
    "linear.bias": HostTensor.from(numbers.slice(0, 256), [256], "bf16"),
  });
  return join(folder, "model.safetensors");
}

/** Of each tensor's dtype, shape and bytes, by its name. */
async function digests(from: TensorFile): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of from.names()) {
    const { dtype, shape, bytes } = await from.read(name);
    found[name] = createHash("sha256").update(`${dtype} ${shape} `).update(bytes).digest("hex");
  }
  return found;
}
