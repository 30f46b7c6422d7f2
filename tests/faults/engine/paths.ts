import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CairnError } from "../../../src/base/errors.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { BAD_TAGS } from "../../checkpoint/bad_tags.ts";
import { FaultStorage } from "../../helpers/fault_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { engineOn, RUN_ID, stateOf, stepOfState } from "./runs.ts";

const SECRET = "not ours";

/** Rows D1 and D2: names that lead elsewhere. */
export async function paths(campaign: Campaign): Promise<void> {
  await campaign.row("D1", "tags that could be anything but one file, refused before any I/O", badTags);
  await campaign.row("D2", "links, pipes, devices and directories in the place of files", async (row) => {
    for (const [name, trap] of Object.entries(TRAPS)) {
      const folder = mkdtempSync(join(tmpdir(), "cairn-faults-"));
      try {
        await spring(name, trap, folder, row);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }
  });
}

async function badTags(row: RowRecorder): Promise<void> {
  const storage = new FaultStorage(new MemoryStorage());
  const engine = await engineOn(storage);
  for (const tag of BAD_TAGS) {
    if (typeof tag !== "string" && typeof tag !== "number") continue;
    const calls: [string, () => Promise<unknown>][] = [
      ["create", () => engine.create(tag)],
      ["load", () => engine.load(tag)],
      // As text, some of the numbers are fine.
      ["remove", () => engine.remove(typeof tag === "string" ? tag : "..")],
      ["create in a field", () => engine.create({ tag })],
    ];
    for (const [what, call] of calls) {
      row.point();
      const outcome: unknown = await call().then(() => "was accepted", (error: unknown) => error);
      if (!(outcome instanceof CairnError && outcome.code === "invalid_tag")) {
        row.fail(`${what} ${JSON.stringify(tag)}: ${outcome}`);
      }
    }
  }
  if (storage.operations.length > 0) row.fail(`${storage.operations.length} operations reached the storage`);
}

interface Trap {
  /** Puts the trap in `run`; `outside` is a file beside it that nobody may touch. */
  set(run: string, outside: string): void;
  /** Whether a save of the tag "1" over it has to work, by replacing it, or to be refused. */
  readonly save: "works" | "refused";
  /** Whether what the trap holds, called checkpoint 1, must not be read. Not for a trap elsewhere. */
  readonly load?: "refused";
}

const TRAPS: Record<string, Trap> = {
  "the checkpoint is a link to a file outside": {
    set: (run, outside) => symlinkSync(outside, join(run, "1.cairn")),
    save: "works",
    load: "refused",
  },
  "the checkpoint is a dangling link": {
    set: (run, outside) => symlinkSync(`${outside}-gone`, join(run, "1.cairn")),
    save: "works",
    load: "refused",
  },
  "the checkpoint is a link to itself": {
    set: (run) => symlinkSync("1.cairn", join(run, "1.cairn")),
    save: "works",
    load: "refused",
  },
  "the checkpoint is a link to /etc/passwd": {
    set: (run) => symlinkSync("/etc/passwd", join(run, "1.cairn")),
    save: "works",
    load: "refused",
  },
  "the checkpoint is a hard link to a file outside": {
    set: (run, outside) => linkSync(outside, join(run, "1.cairn")),
    save: "works",
    load: "refused",
  },
  "the checkpoint is a named pipe": {
    set: (run) => make("mkfifo", join(run, "1.cairn")),
    save: "works",
    load: "refused",
  },
  "the checkpoint is a device": {
    set: (run) => make("mknod", join(run, "1.cairn"), "c", "1", "3"),
    save: "works",
    load: "refused",
  },
  "the checkpoint is a directory": {
    set: (run) => mkdirSync(join(run, "1.cairn")),
    save: "refused",
    load: "refused",
  },
  "the checkpoint is an empty file": {
    set: (run) => writeFileSync(join(run, "1.cairn"), ""),
    save: "works",
    load: "refused",
  },
  "the hint is a link to a file outside": {
    set: (run, outside) => symlinkSync(outside, join(run, "latest")),
    save: "works",
  },
  "the hint is a dangling link": {
    set: (run, outside) => symlinkSync(`${outside}-gone`, join(run, "latest")),
    save: "works",
  },
  "the hint is a directory": { set: (run) => mkdirSync(join(run, "latest")), save: "works" },
  "the hint is a named pipe": { set: (run) => make("mkfifo", join(run, "latest")), save: "works" },
  "a leftover is a link to a file outside": {
    set: (run, outside) => symlinkSync(outside, join(run, `.tmp-${RUN_ID}-0123456789abcdef`)),
    save: "works",
  },
  "a leftover is a directory": {
    set: (run) => mkdirSync(join(run, `.tmp-${RUN_ID}-0123456789abcdef`)),
    save: "works",
  },
  "the directory is a link to one outside": {
    set: (run, outside) => {
      rmSync(run, { recursive: true });
      mkdirSync(`${outside}-directory`);
      symlinkSync(`${outside}-directory`, run);
    },
    save: "refused",
  },
  "the directory is a dangling link": {
    set: (run, outside) => {
      rmSync(run, { recursive: true });
      symlinkSync(`${outside}-gone`, run);
    },
    save: "refused",
  },
  "the directory is a file": {
    set: (run) => {
      rmSync(run, { recursive: true });
      writeFileSync(run, SECRET);
    },
    save: "refused",
  },
};

function make(program: string, ...args: string[]): void {
  const { status } = spawnSync(program, args);
  // Where a device cannot be made, a link to one is the next best trap.
  if (status !== 0) symlinkSync("/dev/null", args[0] as string);
}

async function spring(name: string, trap: Trap, folder: string, row: RowRecorder): Promise<void> {
  row.point();
  const outside = join(folder, "outside");
  const root = join(folder, "root");
  const run = join(root, "run");
  mkdirSync(run, { recursive: true });
  writeFileSync(outside, SECRET);
  trap.set(run, outside);
  const engine = await FileEngine.open(root, { directory: "run", runId: RUN_ID });
  if (trap.load === "refused") {
    const loaded: unknown = await within(engine.load(1), name).then(
      () => "was loaded",
      (error: unknown) => error,
    );
    if (!(loaded instanceof CairnError)) row.fail(`${name}: ${loaded}`);
    const found = await within(recover(engine), name).catch((error: unknown) => {
      // What is refused might be a checkpoint: with nothing else to go on from, that is said.
      if (error instanceof CairnError && error.code === "storage_failed") return undefined;
      throw error;
    });
    if (found?.checkpoint !== undefined) row.fail(`${name}: it was recovered`);
  }
  const saved: unknown = await within(saveOver(engine), name).then(() => "works", (error: unknown) => error);
  await engine.cleanup();
  if (trap.save === "works") {
    if (saved !== "works") row.fail(`${name}: the save ended with ${saved}`);
    else if (!lstatSync(join(run, "1.cairn")).isFile()) row.fail(`${name}: the checkpoint is no plain file`);
    else if (await loadedStep(engine) !== 1) row.fail(`${name}: the checkpoint does not load`);
  } else if (!(saved instanceof CairnError)) row.fail(`${name}: the save ${saved}`);
  if (readFileSync(outside, "utf8") !== SECRET) row.fail(`${name}: the file outside was changed`);
  for (const trace of ["-gone", "-directory/1.cairn", "-directory/latest"]) {
    if (existsSync(outside + trace)) row.fail(`${name}: something was written outside`);
  }
}

async function saveOver(engine: FileEngine): Promise<void> {
  await engine.create(1, { overwrite: true });
  await engine.save({ state: stateOf(1), provenance: { step: 1 } });
  await engine.commit(1);
}

async function loadedStep(engine: FileEngine): Promise<number | "mixed"> {
  const checkpoint = await engine.load(1);
  await checkpoint.verify();
  const step = stepOfState(await checkpoint.state());
  await checkpoint.close();
  return step;
}

/** Opening a pipe may wait for ever. */
async function within<T>(work: Promise<T>, name: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name}: no answer in 120 s`)), 120_000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
