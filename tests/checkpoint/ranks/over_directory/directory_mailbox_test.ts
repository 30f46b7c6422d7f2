import { describe, expect, test } from "bun:test";
import { RANKS_DIRECTORY } from "../../../../src/checkpoint/ranks/over_directory/message_directory.ts";
import { ProcessGroup } from "../../../../src/checkpoint/ranks/process_group.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../../src/storage/storage.ts";
import { letTurnsPass, until } from "../../../helpers/turns.ts";
import { errorOf, FaultStorage } from "../../fixtures.ts";
import { filesIn } from "../rank_saves.ts";

async function opened(storages: readonly Storage[]): Promise<ProcessGroup[]> {
  const size = storages.length;
  return await Promise.all(
    storages.map((storage, rank) => ProcessGroup.overDirectory(storage, { rank, size, pollMs: 0 })),
  );
}

async function letters(storage: Storage): Promise<string[]> {
  return (await filesIn(storage, RANKS_DIRECTORY)).filter((name) => name.includes("-letter-"));
}

describe("letters in a directory", () => {
  test("are removed when all have them, so that few lie about in a long run", async () => {
    const storage = new MemoryStorage();
    const groups = await opened([storage, storage, storage]);
    let most = 0;
    await Promise.all(groups.map(async (group) => {
      for (let index = 0; index < 40; index++) {
        await group.allGather(Uint8Array.of(index));
        most = Math.max(most, (await letters(storage)).length);
      }
    }));
    // Of each rank that of the last call, and that of the call before until it has looked.
    expect(most).toBeLessThanOrEqual(2 * groups.length);
    for (const group of groups) await group.close();
    expect(await filesIn(storage, RANKS_DIRECTORY)).toEqual([]);
  });

  test("of a root do not pile up while nobody reads them", async () => {
    const storage = new MemoryStorage();
    const [root, other] = await opened([storage, storage]);
    let sent = 0;
    const sending = (async () => {
      for (; sent < 100; sent++) await root?.broadcast(0, Uint8Array.of(sent));
    })();
    await until(() => sent === 16);
    await letTurnsPass();
    expect([sent, (await letters(storage)).length]).toEqual([16, 17]);
    for (let index = 0; index < 100; index++) expect(await other?.broadcast(0)).toEqual(Uint8Array.of(index));
    await sending;
    await root?.close();
    await other?.close();
  });

  test("are not missed where a list shows that their rank has closed, and not yet what it had sent", async () => {
    const disk = new MemoryStorage();
    const late = new FaultStorage(disk);
    late.list = async (directory) =>
      (await disk.list(directory)).filter(({ name }) => !name.includes("-letter-"));
    const [first, other] = await opened([disk, late]);
    await first?.broadcast(0, Uint8Array.of(5));
    await first?.close();
    expect(await other?.broadcast(0)).toEqual(Uint8Array.of(5));
    expect(await errorOf(other?.barrier() ?? Promise.resolve())).toMatchObject({
      code: "rank_missing",
      details: { ranks: [0] },
    });
    await other?.close();
  });

  test("that are damaged are refused, and never taken for what was sent", async () => {
    const disk = new MemoryStorage();
    const [first, other] = await opened([disk, disk]);
    const sent = new Uint8Array(5000).fill(7);
    await first?.broadcast(0, sent);
    const [name = ""] = await letters(disk);
    const path = `${RANKS_DIRECTORY}/${name}`;
    const reader = await disk.openRead(path);
    const bytes = new Uint8Array(reader.byteLength);
    await reader.read(0, bytes);
    bytes[4200] = 8;
    await disk.remove(path);
    const writer = await disk.createExclusive(path);
    await writer.write(bytes);
    await writer.close();
    expect(await errorOf(other?.broadcast(0) ?? Promise.resolve())).toMatchObject({
      code: "checksum_mismatch",
    });
    await first?.close();
    await other?.close();
  });
});
