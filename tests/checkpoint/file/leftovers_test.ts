import { describe, expect, test } from "bun:test";
import { ownProcessMark, stateOfProcess } from "../../../src/base/process_mark.ts";
import {
  removeLeftovers,
  STALE_TEMPORARY_MS,
  temporaryName,
} from "../../../src/checkpoint/file/leftovers.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { bytes, writeFile } from "../../storage/storage_contract.ts";
import { fileNames, OTHER_RUN_ID, RUN_ID } from "../fixtures.ts";

const RANDOM = "0123456789abcdef";
/** 32 digits of the boot, 16 of the namespace, 8 of the number, 16 of the start. */
const ELSEWHERE = "f".repeat(32) + "0".repeat(16) + "00000001" + "0".repeat(16);

function marked(runId: string, mark: string): string {
  return `.tmp-${runId}-${mark}-${RANDOM}`;
}

/** What is left of files of that name when this run clears away `laterMs` after they were written. */
async function left(names: readonly string[], laterMs = 0, inUse: readonly string[] = []): Promise<string[]> {
  const storage = new MemoryStorage({ now: () => 1000 });
  for (const name of names) await writeFile(storage, name, bytes("x"));
  await removeLeftovers(storage, "", { runId: RUN_ID, nowMs: 1000 + laterMs, inUse: new Set(inUse) });
  return await fileNames(storage);
}

describe("the mark of a process", () => {
  test("proves that this process lives, and that one that started at another time is dead", () => {
    const own = ownProcessMark();
    if (own === undefined) return;
    expect(own).toMatch(/^[0-9a-f]{72}$/);
    expect(stateOfProcess(own)).toBe("alive");
    expect(stateOfProcess(own.slice(0, 56) + "0".repeat(16))).toBe("dead");
    // No system counts its processes that far.
    expect(stateOfProcess(own.slice(0, 48) + "7fffffff" + own.slice(56))).toBe("dead");
  });

  test("proves nothing about another machine, another boot, or text that is no mark", () => {
    for (const mark of [ELSEWHERE, "", "x", "0".repeat(72), "0".repeat(71)]) {
      expect(stateOfProcess(mark)).toBe("unknown");
    }
  });
});

describe("removeLeftovers", () => {
  test("takes what a dead process of this machine left, whichever run it was, at once", async () => {
    const own = ownProcessMark();
    if (own === undefined) return;
    const dead = own.slice(0, 56) + "0".repeat(16);
    expect(await left([marked(RUN_ID, dead), marked(OTHER_RUN_ID, dead)])).toEqual([]);
  });

  test("leaves what a living process writes, however old it is", async () => {
    const own = ownProcessMark();
    if (own === undefined) return;
    const parent = marked(OTHER_RUN_ID, own);
    expect(await left([parent], 10 * STALE_TEMPORARY_MS)).toEqual([parent]);
  });

  test("of this process takes what the own run is not writing", async () => {
    const own = `.tmp-${temporaryName(RUN_ID, RANDOM)}`;
    expect(await left([own])).toEqual([]);
    expect(await left([own], 0, [own])).toEqual([own]);
  });

  test("of another machine takes nothing until nobody wrote for a day, not even of the own run", async () => {
    const names = [marked(RUN_ID, ELSEWHERE), marked(OTHER_RUN_ID, ELSEWHERE)];
    expect(await left(names, STALE_TEMPORARY_MS)).toEqual(names);
    expect(await left(names, STALE_TEMPORARY_MS + 1)).toEqual([]);
  });

  test("takes only temporary files", async () => {
    const names = ["1.cairn", "latest", "notes.txt"];
    expect(await left(names, 10 * STALE_TEMPORARY_MS)).toEqual(names);
  });
});
