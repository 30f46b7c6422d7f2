/**
 * A process that saves as fast as it can into the directory that it is given, exclusively. Prints "saved <step>" for
 * each checkpoint, or "locked" and ends. Run by writer_lock_test.ts, which kills it.
 */
import process from "node:process";
import { CairnError } from "../../../../src/base/errors.ts";
import { FileEngine } from "../../../../src/checkpoint/engine/file_engine.ts";

const [directory = ""] = process.argv.slice(2);
const engine = await FileEngine.open(directory, { exclusive: true, chunkBytes: 256 });
try {
  for (let step = (await engine.list()).length;; step++) {
    await engine.create(step, { overwrite: true });
    const mine = new Float64Array(2000).fill(process.pid);
    await engine.save({ state: { by: process.pid, mine }, provenance: { step } });
    await engine.commit(step);
    process.stdout.write(`saved ${step}\n`);
  }
} catch (error) {
  if (!(error instanceof CairnError && error.code === "locked")) throw error;
  process.stdout.write("locked\n");
}
