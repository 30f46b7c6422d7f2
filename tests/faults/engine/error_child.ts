import { writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { CairnError } from "../../../src/base/errors.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { temporaryName } from "../../../src/checkpoint/file/leftovers.ts";
import { FileStorage } from "../../../src/storage/file_storage.ts";
import { engineOn, recoveredStep, RUN_ID, saveStep, temporaryFiles } from "./runs.ts";

// A process whose system calls are made to fail from outside. It names the files that it is going to touch, waits for
// a line, saves step 2 and says how that went; and after another line, when nothing fails any more, what there is and
// whether it can save again.

const [folder = ""] = process.argv.slice(2);
const TEMPORARY_FILES = 8;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function line(): Promise<void> {
  return new Promise((resolve) => process.stdin.once("data", () => resolve()));
}

async function engineWith(firstByte: number): Promise<FileEngine> {
  let calls = firstByte;
  const random = (byteLength: number): Uint8Array => new Uint8Array(byteLength).fill(calls++);
  return await FileEngine.open(folder, { runId: RUN_ID, codec: "raw", chunkBytes: 512, random });
}

const files = await FileStorage.open(folder);
await saveStep(await engineOn(files), 1);
const engine = await engineWith(0);
for (let byte = 0; byte < TEMPORARY_FILES; byte++) {
  const hex = byte.toString(16).padStart(2, "0").repeat(8);
  say(`FILE ${join(folder, `.tmp-${temporaryName(RUN_ID, hex)}`)}`);
}
say(`READY ${process.pid}`);
await line();
const error: unknown = await saveStep(engine, 2).then(() => undefined, (error: unknown) => error);
await engine.abort().catch(() => {});
if (error === undefined) say("END committed");
else if (error instanceof CairnError) {
  const { code, details: { op, path }, cause } = error;
  const isTold = op !== undefined && path !== undefined && cause !== undefined;
  say(isTold ? `END ${code} ${op}` : `END untold ${error}`);
} else say(`END untold ${error}`);
await line();
say(`FOUND ${await recoveredStep(files)}`);
await saveStep(await engineWith(100), 3);
say(`FOUND ${await recoveredStep(files)}`);
say(`LEFT ${(await temporaryFiles(files)).length}`);
process.exit(0);
