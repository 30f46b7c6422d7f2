import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { RANKS_DIRECTORY } from "../../../src/checkpoint/ranks/over_directory/message_directory.ts";
import { ProcessGroup } from "../../../src/checkpoint/ranks/process_group.ts";
import { FileStorage } from "../../../src/storage/file_storage.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { VirtualClock } from "../../helpers/virtual_clock.ts";
import { filesIn } from "./rank_saves.ts";
import { GROUP_CONTRACT, keepPromise } from "./process_group_contract.ts";

function openOver(storage: Storage, size: number): Promise<ProcessGroup[]> {
  return Promise.all(
    Array.from({ length: size }, (_, rank) => ProcessGroup.overDirectory(storage, { rank, size, pollMs: 0 })),
  );
}

describe("ProcessGroup.inMemory", () => {
  for (const [name, promise] of Object.entries(GROUP_CONTRACT)) {
    test(name, () => keepPromise(promise, (size) => Promise.resolve(ProcessGroup.inMemory(size))));
  }

  test("waits as long as its clock says", async () => {
    const clock = new VirtualClock();
    const [first] = ProcessGroup.inMemory(2, { timeoutMs: 5000, clock });
    const error = await thrownBy(() => clock.run(first?.barrier() ?? Promise.resolve()));
    expect([error.code, clock.elapsedMs]).toEqual(["rank_missing", 5000]);
  });

  test("refuses an invalid size and unknown options", async () => {
    for (const size of [0, -1, 1.5, NaN]) {
      expect(await thrownBy(() => ProcessGroup.inMemory(size))).toBeInstanceOf(RangeError);
    }
    expect(await thrownBy(() => ProcessGroup.inMemory(1, { timeoutMs: -1 }))).toBeInstanceOf(RangeError);
  });
});

describe("ProcessGroup.overDirectory", () => {
  for (const [name, promise] of Object.entries(GROUP_CONTRACT)) {
    test(`${name}, and no message is left`, async () => {
      const storage = new MemoryStorage();
      await keepPromise(promise, (size) => openOver(storage, size));
      expect(await filesIn(storage, RANKS_DIRECTORY)).toEqual([]);
    });
  }

  test("keeps all that on a real disk", async () => {
    const directory = await mkdtemp(path.join(os.tmpdir(), "cairn-group-"));
    try {
      for (const promise of Object.values(GROUP_CONTRACT)) {
        await keepPromise(promise, async (size) => openOver(await FileStorage.open(directory), size));
      }
      expect(await filesIn(await FileStorage.open(directory), RANKS_DIRECTORY)).toEqual([]);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }, 600_000);
});
