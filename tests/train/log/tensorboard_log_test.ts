import { describe, expect, test } from "bun:test";
import type { CairnError } from "../../../src/base/errors.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import type { Callback } from "../../../src/train/callbacks/callback.ts";
import { tensorBoardLog } from "../../../src/train/log/tensorboard_log.ts";
import { atEveryOperation, FaultStorage } from "../../helpers/fault_storage.ts";
import { type EventFile, readEventFile, readRecords, type Scalar } from "../../helpers/tensorboard_reader.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { WrappedStorage } from "../../helpers/wrapped_storage.ts";
import { writeFile } from "../../storage/storage_contract.ts";
import { lossOf, recordAt, SimulatedRun } from "./simulated_run.ts";

const END = 18;
const upTo = (end: number): number[] => Array.from({ length: end }, (_, index) => index + 1);

function logTo(storage: Storage, nowMs: () => number = () => 1_700_000_000_000): Callback {
  return tensorBoardLog("test://run", { storages: { test: () => storage }, now: nowMs });
}

async function bytesOf(storage: Storage, name: string): Promise<Uint8Array> {
  const reader = await storage.openRead(name);
  const bytes = new Uint8Array(reader.byteLength);
  for (let at = 0; at < bytes.length;) at += await reader.read(at, bytes.subarray(at));
  await reader.close();
  return bytes;
}

/** All event files, in the order in which TensorBoard reads them. */
async function read(storage: Storage): Promise<(EventFile & { readonly name: string })[]> {
  const names = (await storage.list("")).map(({ name }) => name).sort();
  return await Promise.all(names.map(async (name) => {
    return { name, ...readEventFile(await bytesOf(storage, name)) };
  }));
}

function curve(files: readonly EventFile[], tag: string): Pick<Scalar, "step" | "value">[] {
  return files.flatMap(({ scalars }) => scalars).filter((scalar) => scalar.tag === tag)
    .map(({ step, value }) => ({ step, value }));
}

function expectWhole(files: readonly EventFile[], seed = 0): void {
  expect(curve(files, "loss")).toEqual(upTo(END).map((step) => ({ step, value: lossOf(step - 1, seed) })));
  expect(curve(files, "learning_rate")).toEqual(
    upTo(END).map((step) => ({ step, value: Math.fround(0.5 / step) })),
  );
  expect(curve(files, "terms/a")).toHaveLength(END);
  const measured = upTo(END).filter((step) => step % 5 === 0 || step % 3 === 0);
  expect(curve(files, "val_loss").map(({ step }) => step)).toEqual(measured);
  expect(curve(files, "epoch/loss")).toEqual(
    measured.map((step) => ({ step, value: Math.fround(recordAt(step).metrics.loss ?? NaN) })),
  );
}

describe("tensorBoardLog", () => {
  test("writes scalars that a reader of TensorBoard's format reads, every checksum right", async () => {
    const storage = new MemoryStorage();
    await new SimulatedRun(logTo(storage)).train(END);
    const files = await read(storage);
    expect(files.map(({ name, version }) => [name, version])).toEqual([
      ["events.out.tfevents.1700000000.000001.cairn", "brain.Event:2"],
    ]);
    expectWhole(files);
    expect(curve(files, "save/stall_ms")).toEqual([4, 8, 12, 16].map((step) => ({ step, value: 1.5 })));
    expect(curve(files, "save/bytes").map(({ value }) => value)).toEqual([100, 100, 100, 100]);
    expect(curve(files, "resume")).toEqual([]);
    expect(new Set(files[0]?.wallTimes)).toEqual(new Set([1_700_000_000]));
  });

  test("the reader of this test notices a changed byte, so that the checksums say something", async () => {
    const storage = new MemoryStorage();
    await new SimulatedRun(logTo(storage)).train(2);
    const [{ name = "" } = {}] = await storage.list("");
    const bytes = await bytesOf(storage, name);
    const ends = readRecords(bytes).map(({ byteOffset, byteLength }) => byteOffset + byteLength);
    expect(ends.length).toBeGreaterThan(3);
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => readRecords(changed)).toThrow();
    }
  });

  test("has no step twice and misses none, whenever a process is killed and wherever it resumes", async () => {
    for (let killed = 0; killed < END; killed++) {
      for (let step = 0; step <= killed; step++) {
        const storage = new MemoryStorage();
        await new SimulatedRun(logTo(storage)).train(killed, { killed: true });
        await SimulatedRun.resumed(logTo(storage), step, Math.max(0, step - 3)).train(END);
        const files = await read(storage);
        expectWhole(files);
        expect(curve(files, "resume")).toEqual([{ step, value: step }]);
        // Where the new file begins, one that is open forgets the rest of the old one.
        expect(files.at(-1)?.starts.every((start) => start <= step)).toBe(true);
      }
    }
  });

  test("is whole again after a resume, wherever a machine cut its file", async () => {
    const storage = new MemoryStorage();
    await new SimulatedRun(logTo(storage)).train(14, { killed: true });
    const [{ name = "" } = {}] = await storage.list("");
    const whole = await bytesOf(storage, name);
    for (let length = 0; length <= whole.length; length += 11) {
      const cut = new MemoryStorage();
      await writeFile(cut, name, whole.subarray(0, length));
      await SimulatedRun.resumed(logTo(cut), 9, 6).train(END);
      expectWhole(await read(cut));
    }
  });

  test("is whole after a resume, whichever operation of the one before failed or was torn", async () => {
    for (const takesEffect of [false, true]) {
      const points = await atEveryOperation(async (at) => {
        const inner = new MemoryStorage();
        await new SimulatedRun(logTo(inner)).train(13, { killed: true });
        const faulty = new FaultStorage(inner);
        faulty.crashAt(at, { takesEffect });
        await SimulatedRun.resumed(logTo(faulty), 7, 5).train(15).catch(() => undefined);
        await SimulatedRun.resumed(logTo(inner), 11, 11).train(END);
        expectWhole(await read(inner));
        return faulty;
      });
      expect(points).toBeGreaterThan(10);
    }
  });

  test("a run that begins anew, or another one, takes the place of what is there; files of others stay", async () => {
    const storage = new MemoryStorage();
    await writeFile(storage, "events.out.tfevents.1600000000.host", Uint8Array.of(1, 2, 3));
    await new SimulatedRun(logTo(storage), 7).train(END);
    await SimulatedRun.resumed(logTo(storage), 9, 6).train(END);
    await storage.move("events.out.tfevents.1600000000.host", "foreign");
    const foreign = await bytesOf(storage, "foreign");
    await storage.remove("foreign");
    expect(foreign).toEqual(Uint8Array.of(1, 2, 3));
    expectWhole(await read(storage));
    await new SimulatedRun(logTo(storage), 3).train(END);
    expectWhole(await read(storage), 3);
  });

  test("its files sort by their beginning, even where a clock was set back", async () => {
    const storage = new MemoryStorage();
    let nowMs = 1_700_000_000_000;
    for (const to of [4, 8, END]) {
      await SimulatedRun.resumed(logTo(storage, () => nowMs), to - 4, to - 4).train(to);
      nowMs -= 5000;
    }
    const files = await read(storage);
    expect(files.map(({ name }) => name)).toEqual(
      [1, 2, 3].map((index) => `events.out.tfevents.1700000000.00000${index}.cairn`),
    );
    expectWhole(files);
  });

  test("a storage that cannot append is refused by its name", async () => {
    const bare = new WrappedStorage(new MemoryStorage());
    Object.defineProperty(bare, "truncate", { value: undefined });
    const error = await thrownBy(() => new SimulatedRun(logTo(bare)).train(1)) as CairnError;
    expect([error.code, error.message.includes('tensorBoardLog() cannot write to "memory:"')]).toEqual([
      "unsupported",
      true,
    ]);
  });
});
