import { writeSync } from "node:fs";
import process from "node:process";
import { CairnError } from "../../../src/base/errors.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { stateOf } from "./runs.ts";

// A process that wants to be the only one that writes to a directory: `hold` keeps the right until it is killed,
// `keep` saves all the while, `take` saves once and gives it back. Each says HELD when it has the right, or LOCKED.

const [mode = "", folder = ""] = process.argv.slice(2);

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const engine = await FileEngine.open(folder, { exclusive: true, chunkBytes: 512, codec: "raw" });
try {
  const saved = (await engine.list()).length;
  for (let step = saved + 1;; step++) {
    await engine.create(step);
    if (step === saved + 1) say(`HELD ${process.pid}`);
    await engine.save({ state: stateOf(step), provenance: { step } });
    await engine.commit(step);
    say(`COMMIT ${step}`);
    if (mode !== "keep") break;
  }
  if (mode === "hold") setInterval(() => {}, 1000);
  else {
    await engine.cleanup();
    say("RELEASED");
  }
} catch (error) {
  if (!(error instanceof CairnError && error.code === "locked")) throw error;
  say("LOCKED");
}
