import { CairnError } from "../../../src/base/errors.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { hostError } from "../../../src/storage/host_error.ts";
import { storageError } from "../../../src/storage/storage_error.ts";
import { atEveryOperation, FaultStorage } from "../../helpers/fault_storage.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn, recoveredStep, saveStep, stepOfState, temporaryFiles } from "./runs.ts";

const CODES = [
  "EIO",
  "ENOSPC",
  "EACCES",
  "EROFS",
  "EDQUOT",
  "EMFILE",
  "ENOENT",
  "ESTALE",
  "EXDEV",
  "EINTR",
  "EAGAIN",
];

/** Rows B1, B2, B3 and B5: the file system fails, takes or gives only a part, or gives something else. */
export async function ioErrors(campaign: Campaign, outcome: Outcome): Promise<void> {
  await campaign.row(
    "B1",
    `each of ${CODES.length} errors at every operation of a save, once and for good`,
    async (row) => {
      for (const code of CODES) {
        for (const onward of [false, true]) {
          for (const takesEffect of [false, true]) {
            await failEverywhere(
              code,
              { onward, takesEffect },
              row,
              outcome,
            );
          }
        }
      }
    },
  );
  await campaign.row("B2", "short writes and writes of nothing", shortWrites);
  await campaign.row(
    "B3",
    "fsync and close fail: never committed, never synced again",
    (row) => failedSyncs(row),
  );
  await campaign.row("B5", "bad reads while recovering: errors, short, early end, other bytes", (row) => {
    return badReads(row, outcome);
  });
}

async function failEverywhere(
  code: string,
  how: { onward: boolean; takesEffect: boolean },
  row: RowRecorder,
  outcome: Outcome,
): Promise<void> {
  await atEveryOperation(async (at) => {
    row.point();
    const where = `${code} at ${at}${how.onward ? " and onward" : ""}${
      how.takesEffect ? ", though it took effect" : ""
    }`;
    const inner = new MemoryStorage();
    await saveStep(await engineOn(inner), 1);
    const storage = new FaultStorage(inner);
    const engine = await engineOn(storage);
    storage.failAt(at, code, how);
    const error: unknown = await saveStep(engine, 2).then(() => undefined, (error: unknown) => error);
    await engine.abort();
    storage.heal();
    if (error !== undefined) judgeError(error, where, row);
    const step = await recoveredStep(inner);
    const isRight = error === undefined ? step === 2 : step === 1 || step === 2;
    if (!isRight) {
      if (step === "mixed") outcome.mixed++;
      else outcome.lost++;
      row.fail(`${where}: ${step} was recovered`);
    }
    if (storage.openHandles !== 0) row.fail(`${where}: ${storage.openHandles} files are open`);
    await saveStep(engine, 3);
    const left = await temporaryFiles(inner);
    if (left.length > 0) row.fail(`${where}: ${left} is left after the next save`);
    if (await recoveredStep(inner) !== 3) row.fail(`${where}: the next save is not recovered`);
    return storage;
  });
}

function judgeError(error: unknown, where: string, row: RowRecorder): void {
  if (!(error instanceof CairnError)) return row.fail(`${where}: ${error}`);
  const { code, details, cause } = error;
  if (!["storage_failed", "disk_full", "not_found"].includes(code)) row.fail(`${where}: the code is ${code}`);
  if (details.op === undefined || details.path === undefined || cause === undefined) {
    row.fail(`${where}: the error lacks the operation, the path or the cause`);
  }
}

async function shortWrites(row: RowRecorder): Promise<void> {
  const whole = new MemoryStorage();
  await saveStep(await engineOn(whole), 1);
  const expected = await bytesOf(whole, "1.cairn");
  const limits: [string, (write: number, at: number) => number][] = [
    ["one byte once", (write, at) => write === at ? 1 : Infinity],
    ["seven bytes from there on", (write, at) => write >= at ? 7 : Infinity],
    ["half a KiB from there on", (write, at) => write >= at ? 512 : Infinity],
    ["a page less a byte from there on", (write, at) => write >= at ? 4095 : Infinity],
    ["nothing", (write, at) => write === at ? 0 : Infinity],
  ];
  for (const [name, limit] of limits) {
    for (let at = 0; at < 12; at++) {
      row.point();
      const storage = new FaultStorage(new MemoryStorage());
      storage.writeLimit = (write) => limit(write, at);
      const engine = await engineOn(storage);
      const outcome: unknown = await saveStep(engine, 1).then(() => undefined, (error: unknown) => error);
      const writes = storage.operations.filter(({ op, path }) =>
        op === "write" && path.startsWith(".tmp-")
      ).length;
      if (name === "nothing" && at < writes && outcome === undefined) {
        // The hint is the last that is written, and is a hint: without it the checkpoint is durable all the same.
        if (at < writes - 1) row.fail(`write ${at} took nothing, and the save went on`);
      } else if (outcome === undefined) {
        if (Buffer.compare(await bytesOf(storage.inner, "1.cairn"), expected) !== 0) {
          row.fail(`${name} at ${at}: other bytes`);
        }
      } else if (name !== "nothing") row.fail(`${name} at ${at}: ${outcome}`);
      if (storage.openHandles !== 0) row.fail(`${name} at ${at}: ${storage.openHandles} files are open`);
      if (outcome !== undefined && (await temporaryFiles(storage)).length > 0) {
        row.fail(`${name} at ${at}: a file is left`);
      }
    }
  }
}

async function bytesOf(storage: { openRead: MemoryStorage["openRead"] }, path: string): Promise<Uint8Array> {
  const reader = await storage.openRead(path);
  const content = new Uint8Array(reader.byteLength);
  await reader.read(0, content);
  await reader.close();
  return content;
}

async function failedSyncs(row: RowRecorder): Promise<void> {
  for (const op of ["sync", "syncDirectory", "close"]) {
    for (const onward of [false, true]) {
      for (const takesEffect of [false, true]) {
        await atEveryOperation((at) => failSync(op, at, { onward, takesEffect }, row));
      }
    }
  }
}

/** Fails operation `at`; it counts only where that is an `op`. */
async function failSync(
  op: string,
  at: number,
  how: { onward: boolean; takesEffect: boolean },
  row: RowRecorder,
): Promise<FaultStorage> {
  const storage = new FaultStorage(new MemoryStorage());
  const engine = await engineOn(storage);
  storage.failAt(at, "EIO", how);
  const error: unknown = await saveStep(engine, 1).then(() => undefined, (error: unknown) => error);
  const failed = storage.operations[at];
  if (failed?.op !== op) return storage;
  row.point();
  // The directory's sync behind the move is the commit point; all later operations are the hint's.
  const move = storage.operations.findIndex((one) => one.op === "move" && one.path === "1.cairn");
  const commitPoint = move < 0
    ? Infinity
    : storage.operations.findIndex((one, i) => i > move && one.op === "syncDirectory");
  if (at <= commitPoint && error === undefined) {
    row.fail(`${op} failed at ${at}, and the save says it is committed`);
  }
  const again = storage.operations.slice(at + 1).filter((one) =>
    one.op === "sync" && one.path === failed.path
  );
  if (op === "sync" && again.length > 0) row.fail(`a file was synced again after that failed at ${at}`);
  return storage;
}

async function badReads(row: RowRecorder, outcome: Outcome): Promise<void> {
  const kinds: [string, (into: Uint8Array, read: () => Promise<number>) => Promise<number>][] = [
    ["EIO", () => Promise.reject(storageError("read", "memory:x", hostError("EIO")))],
    ["ESTALE", () => Promise.reject(storageError("read", "memory:x", hostError("ESTALE")))],
    ["an early end", () => Promise.resolve(0)],
    ["one byte", async (into, read) => Math.min(1, await read(), into.byteLength)],
    ["half", async (into, read) => Math.max(1, Math.floor(Math.min(into.byteLength, await read()) / 2))],
    ["zeros", async (into, read) => {
      const count = await read();
      into.fill(0);
      return count;
    }],
    ["one bit flipped", async (into, read) => {
      const count = await read();
      into[count >> 1] = (into[count >> 1] ?? 0) ^ 1;
      return count;
    }],
    ["bytes of elsewhere", async (into, read) => {
      const count = await read();
      into.copyWithin(1, 0);
      return count;
    }],
  ];
  for (const [name, fault] of kinds) {
    for (const onward of [false, true]) {
      for (let at = 0, isOver = false; !isOver; at++) {
        const inner = new MemoryStorage();
        const engine = await engineOn(inner);
        for (const step of [1, 2]) await saveStep(engine, step);
        let reads = 0;
        const storage = new HookedStorage(inner, {
          read: (_, into, read) => {
            const index = reads++;
            return index === at || (onward && index > at) ? fault(into, read) : read();
          },
        });
        const where = `${name} at read ${at}${onward ? " and onward" : ""}`;
        isOver = await recoverFrom(storage, where, row, outcome).then(() => reads <= at);
        row.point();
        if (at > 1000) throw new Error(`${where}: recovery reads without end`);
      }
    }
  }
}

/**
 * Recovery gives step 2, or falls back to step 1, or nothing, or says that nothing could be read; never another
 * state.
 */
async function recoverFrom(
  storage: HookedStorage,
  where: string,
  row: RowRecorder,
  outcome: Outcome,
): Promise<void> {
  const found = await recover(await engineOn(storage)).catch((error: unknown) => {
    // Where nothing was sound and something could not be read, that is the error: there may be a checkpoint.
    if (error instanceof CairnError && error.code === "storage_failed") return undefined;
    throw error;
  });
  if (found === undefined) return;
  const { checkpoint, skipped } = found;
  if (checkpoint === undefined) {
    if (skipped.length === 0) row.fail(`${where}: nothing was found, and nothing was said about it`);
    return;
  }
  const step = await checkpoint.state().then(stepOfState, (error: unknown) => {
    if (!(error instanceof CairnError)) row.fail(`${where}: ${error}`);
    return 0;
  });
  await checkpoint.close();
  if (step !== "mixed") return;
  outcome.mixed++;
  row.fail(`${where}: a state that nobody saved`);
}
