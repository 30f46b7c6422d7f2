import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "bun:test";
import { CairnError } from "../../../../src/base/errors.ts";
import { FileEngine } from "../../../../src/checkpoint/engine/file_engine.ts";
import {
  decodeOwner,
  encodeOwner,
  type LockIdentity,
  type LockOwner,
  ownIdentity,
  stateOfOwner,
} from "../../../../src/checkpoint/engine/lock/lock_owner.ts";
import { Snapshot } from "../../../../src/checkpoint/snapshot.ts";
import type { WriterLockOptions } from "../../../../src/checkpoint/engine/lock/writer_lock_options.ts";
import { WriterLock } from "../../../../src/checkpoint/engine/lock/writer_lock.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../../src/storage/storage.ts";
import { bytes, writeFile } from "../../../storage/storage_contract.ts";
import {
  atEveryOperation,
  codeOf,
  counterRandom,
  errorOf,
  FaultStorage,
  fileNames,
  loadState,
  memoryEngine,
  OTHER_RUN_ID,
  RUN_ID,
  saveState,
} from "../../fixtures.ts";

const LIVING: LockIdentity = ownIdentity();
const MARK_OF_OTHER_BOOT = "f".repeat(72);
/** A process of this boot whose number is not in use: numbers end far below it. */
const DEAD: LockIdentity = {
  ...LIVING,
  mark: LIVING.mark.slice(0, 48) + "7fffffff" + LIVING.mark.slice(56),
  pid: 0x7fffffff,
};
const isLinux = LIVING.mark !== "";
const onLinux = isLinux ? test : test.skip;

let seed = 100;

function acquire(storage: Storage, options: WriterLockOptions = {}): Promise<WriterLock> {
  const random = counterRandom(seed++);
  const token = (): string => Array.from(random(8), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return WriterLock.acquire(storage, "", {
    runId: RUN_ID,
    now: () => Date.UTC(2020, 0, 1),
    random: token,
    ...options,
  });
}

describe("lock owners", () => {
  const owner: LockOwner = { ...LIVING, token: "t", runId: RUN_ID, since: "2020-01-01T00:00:00.000Z" };

  test("come back from their text, and nothing else is taken for one", () => {
    expect(decodeOwner(encodeOwner(owner))).toEqual(owner);
    for (const text of ["", "{}", "null", "[1]", '{"pid":1}', encodeOwner(owner).slice(0, -1)]) {
      expect(decodeOwner(text)).toBeUndefined();
    }
  });

  onLinux("live while their process runs, and are dead when it is gone or its number is another's", () => {
    expect(stateOfOwner(owner)).toBe("alive");
    expect(stateOfOwner({ ...owner, ...DEAD })).toBe("dead");
    const startedAtAnotherTime = LIVING.mark.slice(0, 56) + "0".repeat(15) + "1";
    expect(stateOfOwner({ ...owner, mark: startedAtAnotherTime })).toBe("dead");
  });

  test("of an earlier boot of this machine are dead, and those of another machine are unknown, however old", () => {
    const self: LockIdentity = { pid: 1, mark: "0".repeat(72), host: "here", machineId: "m" };
    const old: LockOwner = { ...owner, ...self, mark: MARK_OF_OTHER_BOOT, since: "1970-01-01T00:00:00.000Z" };
    expect(stateOfOwner(old, self)).toBe("dead");
    expect(stateOfOwner({ ...old, machineId: "n" }, self)).toBe("unknown");
    expect(stateOfOwner({ ...old, machineId: "" }, { ...self, machineId: "" })).toBe("unknown");
    expect(stateOfOwner({ ...old, host: "there" }, self)).toBe("unknown");
    expect(stateOfOwner({ ...old, mark: "" }, self)).toBe("unknown");
    const elsewhere = { ...self, mark: "" };
    expect(stateOfOwner({ ...old, mark: "", pid: process.pid }, elsewhere)).toBe("unknown");
    expect(stateOfOwner({ ...old, mark: "", pid: 0x7ffffffe }, elsewhere)).toBe("dead");
    expect(stateOfOwner({ ...old, mark: "", pid: 0x7ffffffe, host: "there" }, elsewhere)).toBe("unknown");
  });
});

describe("WriterLock", () => {
  onLinux("refuses a second one while its owner lives, however long ago it was taken", async () => {
    const storage = new MemoryStorage();
    const lock = await acquire(storage);
    const error = await errorOf(acquire(storage));
    expect(error.code).toBe("locked");
    expect(error.message).toContain(`process ${process.pid} on`);
    expect(error.message).toContain("which still runs");
    expect(await fileNames(storage)).toEqual([".lock-000000000001"]);
    await lock.release();
    await lock.release();
    expect(await fileNames(storage)).toEqual([]);
    await acquire(storage);
  });

  onLinux("takes over from an owner that is proved dead, and removes what it left", async () => {
    const storage = new MemoryStorage();
    await acquire(storage, { identity: DEAD });
    const lock = await acquire(storage);
    expect(await fileNames(storage)).toEqual([".lock-000000000002"]);
    await lock.assertHeld();
  });

  test("an owner of another machine is asked about, and kept unless the answer is yes", async () => {
    const storage = new MemoryStorage();
    const elsewhere: LockIdentity = { pid: 7, mark: MARK_OF_OTHER_BOOT, host: "far", machineId: "other" };
    await acquire(storage, { identity: elsewhere });
    const error = await errorOf(acquire(storage));
    expect(error.message).toContain('process 7 on "far"');
    expect(error.message).toContain("when you know that it is, delete the file");
    const asked: LockOwner[] = [];
    const answer = (isDead: boolean) => (owner: LockOwner): boolean => asked.push(owner) > 0 && isDead;
    expect(await codeOf(acquire(storage, { isOwnerDead: answer(false) }))).toBe("locked");
    await acquire(storage, { isOwnerDead: answer(true) });
    expect(asked.map(({ host }) => host)).toContain("far");
  });

  test("a lock file that cannot be read as one is never removed", async () => {
    const storage = new MemoryStorage();
    await writeFile(storage, ".lock-000000000001", bytes("rubbish"));
    expect((await errorOf(acquire(storage, { isOwnerDead: () => true }))).message).toContain(
      "an unknown process",
    );
    expect(await fileNames(storage)).toEqual([".lock-000000000001"]);
  });

  onLinux("of many that come at once exactly one gets it, whether there is a dead lock or none", async () => {
    for (const hasDead of [false, true]) {
      for (let round = 0; round < 30; round++) {
        const storage = slowed(new MemoryStorage(), counterRandom(round + 1));
        if (hasDead) await acquire(storage, { identity: DEAD });
        const outcomes = await Promise.allSettled(Array.from({ length: 4 }, () => acquire(storage)));
        const held = outcomes.filter(({ status }) => status === "fulfilled");
        expect([round, held.length]).toEqual([round, 1]);
        for (const outcome of outcomes) {
          if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "locked" });
        }
        expect(await fileNames(storage)).toHaveLength(1);
      }
    }
  });

  onLinux("never two hold it, while many take it and give it back", async () => {
    let turns = 0;
    for (let round = 0; round < 40; round++) {
      const storage = slowed(new MemoryStorage(), counterRandom(round + 1), 25);
      await acquire(storage, { identity: DEAD });
      let inside = 0;
      await Promise.all(Array.from({ length: 4 }, async () => {
        for (let attempt = 0; attempt < 6; attempt++) {
          const lock = await acquire(storage).catch(() => undefined);
          if (lock === undefined) continue;
          inside++;
          expect([round, inside]).toEqual([round, 1]);
          turns++;
          for (let left = 0; left < 5; left++) await Promise.resolve();
          inside--;
          await lock.release();
        }
      }));
    }
    expect(turns).toBeGreaterThan(80);
  });

  onLinux("sees a lock with a lower number that was taken between its look and its own", async () => {
    const inner = new MemoryStorage();
    await acquire(inner, { identity: DEAD });
    let held: WriterLock | undefined;
    let isFirst = true;
    const late: Storage = slowed(inner, () => new Uint8Array(1));
    const move = late.move;
    late.move = async (from, to, options) => {
      if (isFirst) {
        isFirst = false;
        // One takes over from the dead and gives back, so that the numbers begin again, and another one has the first.
        await (await acquire(inner)).release();
        held = await acquire(inner);
      }
      await move(from, to, options);
    };
    expect(await codeOf(acquire(late))).toBe("locked");
    expect(held?.path).toBe("memory:.lock-000000000001");
    await held?.assertHeld();
    expect(await fileNames(inner)).toEqual([".lock-000000000001"]);
  });

  test("is given up when others are faster again and again, and leaves nothing", async () => {
    const storage = slowed(new MemoryStorage(), () => new Uint8Array(1));
    storage.move = (_, to) => {
      return Promise.reject(new CairnError("already_exists", `${to} is taken`));
    };
    const error = await errorOf(acquire(storage));
    expect([error.code, error.details.op]).toEqual(["locked", "lock"]);
    expect(error.message).toContain("100 others were faster; try again");
    expect(await fileNames(storage)).toEqual([]);
  });

  onLinux("a crash at any operation of taking it leaves it to be taken", async () => {
    const points = await atEveryOperation(async (at) => {
      const inner = new MemoryStorage();
      await acquire(inner, { identity: DEAD });
      const storage = new FaultStorage(inner);
      storage.crashAt(at, { takesEffect: at % 2 === 0 });
      await acquire(storage, { identity: DEAD }).catch(() => {});
      await (await acquire(inner)).assertHeld();
      expect((await fileNames(inner)).filter((name) => name.startsWith(".lock-"))).toHaveLength(1);
      return storage;
    });
    expect(points).toBeGreaterThan(8);
  });
});

describe("an exclusive FileEngine", () => {
  const second = { exclusive: true, runId: OTHER_RUN_ID };

  onLinux("keeps others out from its first create to its cleanup", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage, { exclusive: true });
    const other = await memoryEngine(storage, second);
    expect(await fileNames(storage)).toEqual([]);
    await saveState(engine, "a", { step: 1 });
    expect(await codeOf(other.create("b"))).toBe("locked");
    await saveState(engine, "b", { step: 2 });
    await engine.cleanup();
    await saveState(other, "c", { step: 3 });
    expect(await codeOf(engine.create("d"))).toBe("locked");
    await other.cleanup();
    expect(await fileNames(storage)).toEqual(["a.cairn", "b.cairn", "c.cairn", "latest"]);
  });

  test("does not commit when its lock was taken away, and leaves the other's checkpoint alone", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage, { exclusive: true });
    await saveState(engine, "old", { step: 1 });
    await engine.create("a");
    await engine.save({ state: { step: 2 } });
    await storage.remove(".lock-000000000001");
    const other = await memoryEngine(storage, second);
    await saveState(other, "b", { step: 3 });
    const error = await errorOf(engine.commit("a"));
    expect(error.code).toBe("locked");
    expect(error.message).toContain("belongs to process");
    expect(await engine.list()).toEqual(["b", "old"]);
    expect(await codeOf(engine.create("a"))).toBe("locked");
  });

  onLinux(
    "crashing at any operation of a save leaves its checkpoints and its lock to the next process",
    async () => {
      for (const takesEffect of [false, true]) {
        const points = await atEveryOperation(async (at) => {
          const inner = new MemoryStorage();
          const before = await memoryEngine(inner);
          await saveState(before, "old", { step: 1 }, { step: 1 });
          const storage = new FaultStorage(inner);
          const engine = await memoryEngine(storage, { exclusive: { identity: DEAD } });
          storage.crashAt(at, { takesEffect });
          const isCommitted = await saveState(engine, "new", { step: 2 }, { step: 2 }).then(
            () => true,
            () => false,
          );
          const next = await memoryEngine(inner, { exclusive: true });
          await saveState(next, "next", { step: 3 }, { step: 3 });
          expect(await loadState(next, "old")).toEqual({ step: 1 });
          if (isCommitted) {
            expect(await loadState(next, "new")).toEqual({ step: 2 });
          }
          expect((await fileNames(inner)).filter((name) => name.startsWith(".lock-"))).toHaveLength(1);
          expect((await fileNames(inner)).filter((name) => name.startsWith(".tmp-"))).toEqual([]);
          return storage;
        });
        expect(points).toBeGreaterThan(25);
      }
    },
  );

  onLinux("gives its lock back when the snapshot that opened it is closed", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cairn-lock-"));
    try {
      for (const step of [1, 2]) {
        const snapshot = new Snapshot(folder, { value: { step } }, { exclusive: true });
        await (await snapshot.save(step)).wait();
        const second = new Snapshot(folder, { value: { step } }, { exclusive: true });
        const pending = await second.save("x");
        expect(await codeOf(pending.wait())).toBe("locked");
        await second.close();
        await snapshot.close();
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  onLinux("of a killed process is taken over at once, and no two processes ever write", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cairn-lock-"));
    const writers = new Set<Writer>();
    try {
      for (let round = 0; round < 3; round++) {
        const started = Array.from({ length: 3 }, () => new Writer(folder));
        for (const writer of started) writers.add(writer);
        await until(() => started.some(({ isSaving }) => isSaving));
        await until(() => started.every(({ isSaving, isLockedOut }) => isSaving || isLockedOut));
        expect(started.filter(({ isSaving }) => isSaving)).toHaveLength(1);
        for (const writer of started) await writer.kill();
      }
      const engine = await FileEngine.open(folder, { exclusive: true });
      await saveState(engine, "last", { step: 1 });
      const tags = (await engine.list()).filter((tag) => tag !== "last");
      expect(tags.length).toBeGreaterThanOrEqual(3);
      for (const tag of tags) {
        const { by, mine } = await loadState(engine, tag) as { by: number; mine: Float64Array };
        expect(mine.every((value) => value === by)).toBe(true);
      }
      await engine.cleanup();
    } finally {
      for (const writer of writers) await writer.kill();
      await rm(folder, { recursive: true });
    }
  }, 600_000);
});

/** Another process of this runtime, which writes; see exclusive_writer.ts. */
class Writer {
  #printed = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(folder: string) {
    const script = fileURLToPath(new URL("exclusive_writer.ts", import.meta.url));
    const run = "Deno" in globalThis ? ["run", "-A", "--no-check", "--quiet", script] : [script];
    this.#child = spawn(process.execPath, [...run, folder], { stdio: ["ignore", "pipe", "inherit"] });
    this.#child.stdout?.on("data", (chunk: Uint8Array) => this.#printed += new TextDecoder().decode(chunk));
    this.#ended = once(this.#child, "close");
  }

  get isSaving(): boolean {
    return this.#printed.includes("saved");
  }

  get isLockedOut(): boolean {
    return this.#printed.includes("locked");
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn > 30_000) throw new Error("What is waited for never happens");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A storage whose operations take a random number of turns, so that callers overtake each other. */
function slowed(inner: MemoryStorage, random: (byteLength: number) => Uint8Array, most = 6): Storage {
  const turns = async (): Promise<void> => {
    for (let left = (random(1)[0] ?? 0) % most; left > 0; left--) await Promise.resolve();
  };
  return {
    describe: (path) => inner.describe(path),
    list: async (directory) => (await turns(), await inner.list(directory)),
    makeDirectory: (directory) => inner.makeDirectory(directory),
    createExclusive: async (path) => (await turns(), await inner.createExclusive(path)),
    openRead: async (path) => (await turns(), await inner.openRead(path)),
    move: async (from, to, options) => (await turns(), await inner.move(from, to, options)),
    remove: async (path) => (await turns(), await inner.remove(path)),
    syncDirectory: async (directory) => (await turns(), await inner.syncDirectory(directory)),
    freeBytes: (directory) => inner.freeBytes(directory),
  };
}
