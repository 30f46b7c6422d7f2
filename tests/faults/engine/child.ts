import { writeSync } from "node:fs";
import process from "node:process";
import { CairnError } from "../../../src/base/errors.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { FileStorage } from "../../../src/storage/file_storage.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import { RUN_ID, stateOf, stepOfState } from "./runs.ts";

// A process that saves, to be killed, to be run twice at once, or to be given a disk that is too small. It says what is
// committed as soon as that is, and its parent holds it to its word.

const [mode = "", folder = "", argument = "", directory = ""] = process.argv.slice(2);

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

async function save(engine: FileEngine, tag: string, step: number): Promise<void> {
  await engine.create(tag, { overwrite: tag === "best" });
  await engine.save({ state: stateOf(step), provenance: { savedBy: "auto", step } });
  await engine.commit(tag);
  say(`COMMIT ${tag} ${step}`);
}

/** Resumes, saves `count` steps, and keeps two checkpoints. Every third one replaces "best". */
async function train(count: number): Promise<void> {
  const engine = await FileEngine.open(folder, { directory, runId: RUN_ID, chunkBytes: 1024 });
  const { checkpoint } = await recover(engine);
  const first = (checkpoint?.step ?? checkpoint?.provenance.step ?? 0) + 1;
  await checkpoint?.close();
  for (let step = first; step < first + count; step++) {
    const tag = step % 3 === 0 ? "best" : String(step);
    await save(engine, tag, step);
    await retain(engine, tag, { last: 2 });
  }
}

/** Saves the tags that another process saves at the same time. */
async function compete(writer: number): Promise<void> {
  const engine = await FileEngine.open(folder, { runId: String(writer).repeat(32) });
  for (let n = 1; n <= 6; n++) {
    await save(engine, String(n), 100 * writer + n).catch(async (error: unknown) => {
      if (!(error instanceof CairnError && error.code === "already_exists")) throw error;
      await engine.abort();
    });
  }
}

/** A storage that cannot tell its room, so that a save runs into the end of it. */
class Unmeasured extends HookedStorage {
  override freeBytes(): Promise<number | undefined> {
    return Promise.resolve(undefined);
  }
}

/** In a directory on a disk of so many KiB: a small save, one that cannot fit, and a small one again. */
async function fill(kib: number): Promise<void> {
  const files = await FileStorage.open(folder);
  for (const storage of [files, new Unmeasured(files, {})]) {
    const engine = await FileEngine.open(storage, { runId: RUN_ID, codec: "raw" });
    const first = ((await engine.list()).length) + 1;
    await save(engine, String(first), first);
    const before = await files.freeBytes("");
    await engine.create("large");
    const state = { data: new Float32Array(kib * 256 + 1) };
    // What is written may be under way still when save resolves.
    const outcome: unknown = await engine.save({ state }).then(() => engine.commit("large")).catch(
      (error: unknown) => error,
    );
    if (!(outcome instanceof CairnError && outcome.code === "disk_full")) say(`BAD ${outcome}`);
    const after = await files.freeBytes("");
    if (after !== before) say(`BAD ${before} bytes were free before, ${after} after`);
    const names = (await files.list("")).map(({ name }) => name).filter((name) => name.startsWith(".tmp-"));
    if (names.length > 0) say(`BAD ${names} are left`);
    await save(engine, String(first + 1), first + 1);
    const { checkpoint } = await recover(engine);
    if (checkpoint === undefined || stepOfState(await checkpoint.state()) !== first + 1) {
      say("BAD the next save is gone");
    }
    await checkpoint?.close();
    say("FULL");
  }
}

/** Where nothing may be written: says the code of what it is told instead. */
async function refuse(): Promise<void> {
  const outcome: unknown = await train(1).then(() => "saved", (error: unknown) => error);
  say(outcome instanceof CairnError ? `REFUSED ${outcome.code}` : `BAD ${outcome}`);
}

if (mode === "train") await train(Number(argument));
else if (mode === "compete") await compete(Number(argument));
else if (mode === "fill") await fill(Number(argument));
else if (mode === "refuse") await refuse();
else throw new Error(`no mode "${mode}"`);
