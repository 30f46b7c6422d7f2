import { describe, expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import {
  type CheckpointEndEvent,
  type CheckpointEvent,
  CheckpointEvents,
  type CheckpointStartEvent,
} from "../../src/checkpoint/checkpoint_events.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { codeOf, FaultStorage, loadState, memoryEngine } from "./fixtures.ts";

/** As in "start save 1". */
function summaryOf({ phase, operation, tag }: CheckpointEvent): string {
  return `${phase} ${operation} ${tag}`;
}

/** Each start with its end. */
function pairsOf(events: readonly CheckpointEvent[]): [CheckpointStartEvent, CheckpointEndEvent][] {
  return events.flatMap((start): [CheckpointStartEvent, CheckpointEndEvent][] => {
    if (start.phase !== "start") return [];
    const ends = events.flatMap((end) => end.phase === "end" && end.id === start.id ? [end] : []);
    expect(ends.length).toBe(1);
    return ends.map((end) => [start, end]);
  });
}

describe("events", () => {
  test("TS-16 a save and a restore tell when each of their parts begins and ends", async () => {
    const events: CheckpointEvent[] = [];
    const state = { history: new Float32Array(100) };
    const snapshot = new Snapshot(await memoryEngine(), state, {
      keep: { last: 1 },
      onEvent: (event) => void events.push(event),
    });
    for (const step of [1, 2]) await (await snapshot.save(step)).wait();
    await snapshot.restore(2);
    expect(events.map(summaryOf)).toEqual([
      ...["1", "2"].flatMap((tag) => [
        `start save ${tag}`,
        `start commit ${tag}`,
        `end commit ${tag}`,
        `start retention ${tag}`,
        `end retention ${tag}`,
        `end save ${tag}`,
      ]),
      "start restore 2",
      "start load 2",
      "end load 2",
      "end restore 2",
    ]);
    const pairs = pairsOf(events);
    expect(new Set(pairs.map(([{ id }]) => id)).size).toBe(8);
    for (const [start, end] of pairs) {
      expect(start.id).toMatch(/^[0-9a-f]{32}$/);
      expect([end.operation, end.tag, end.isSuccess, end.error]).toEqual([
        start.operation,
        start.tag,
        true,
        undefined,
      ]);
      expect(end.durationMs).toBe(Math.max(0, end.timeMs - start.timeMs));
      expect([end.operation, end.bytes]).toEqual([end.operation, end.operation === "retention" ? 0 : 512]);
    }
  });

  test("TS-16 a part that fails ends as well, with its error", async () => {
    const operations = new Set<string>();
    for (let at = 0, hasFired = true; hasFired; at++) {
      const events: CheckpointEvent[] = [];
      const storage = new FaultStorage(new MemoryStorage());
      const engine = await memoryEngine(storage);
      const snapshot = new Snapshot(engine, { epoch: 1 }, { onEvent: (event) => void events.push(event) });
      storage.failAt(at, "EIO");
      const pending = await snapshot.save(1);
      await pending.settled();
      hasFired = storage.hasFired;
      for (const [, end] of pairsOf(events)) {
        if (end.operation === "save") {
          expect([end.isSuccess, end.error]).toEqual([pending.done, pending.error]);
        }
        if (!end.isSuccess) {
          operations.add(end.operation);
          expect([end.bytes, end.error instanceof CairnError]).toEqual([0, true]);
        }
      }
      expect(events.at(-1)).toMatchObject({ phase: "end", operation: "save" });
      await snapshot.close().catch(() => {});
    }
    expect(operations).toEqual(new Set(["save", "commit"]));
  });

  test("TS-16 a load that finds damage, and a checkpoint that is not there, fail with the restore", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage);
    await (await new Snapshot(engine, { data: new Float32Array(1000) }).save(1)).wait();
    const events: CheckpointEvent[] = [];
    const snapshot = new Snapshot(engine, { data: new Float32Array(1000) }, {
      onEvent: (event) => void events.push(event),
    });
    expect(await codeOf(snapshot.restore("nowhere"))).toBe("not_found");
    expect(events.map(summaryOf)).toEqual([
      "start restore nowhere",
      "start load nowhere",
      "end load nowhere",
      "end restore nowhere",
    ]);
    for (const [, end] of pairsOf(events)) {
      expect([end.isSuccess, (end.error as CairnError).code]).toEqual([false, "not_found"]);
    }
  });

  test("TS-16 a handler that throws, or rejects, or is slow, changes nothing about a save", async () => {
    const handlers = [
      () => {
        throw new Error("the handler is broken");
      },
      () => Promise.reject(new Error("the handler is broken")),
      () => new Promise<void>(() => {}),
    ];
    for (const onEvent of handlers) {
      let calls = 0;
      const engine = await memoryEngine();
      const snapshot = new Snapshot(engine, { epoch: 7 }, {
        onEvent: () => {
          calls++;
          return onEvent();
        },
      });
      await (await snapshot.save(1)).wait();
      await snapshot.restore(1);
      expect(calls).toBe(8);
      expect(await loadState(engine, 1)).toMatchObject({ epoch: 7 });
      await snapshot.close();
    }
  });

  test("TS-16 durations follow the clock, and are never negative when it is set back", async () => {
    const events: CheckpointEvent[] = [];
    const times = [1000, 1250, 900, 800];
    const clock = { now: () => times.shift() ?? 0 };
    const watched = new CheckpointEvents((event) => void events.push(event), clock);
    for (const tag of ["a", "b"]) {
      expect(await watched.during("load", tag, () => Promise.resolve(5), (bytes) => ({ bytes }))).toBe(5);
    }
    const ends = pairsOf(events).map(([, { durationMs, bytes }]) => [durationMs, bytes]);
    expect(ends).toEqual([[250, 5], [0, 5]]);
  });
});
