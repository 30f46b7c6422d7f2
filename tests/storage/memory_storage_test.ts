import { expect, test } from "bun:test";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { bytes, codeOf, testStorageContract } from "./storage_contract.ts";

testStorageContract("MemoryStorage", () => Promise.resolve(new MemoryStorage()));

test("a memory storage with a capacity is full above it, and not below", async () => {
  const storage = new MemoryStorage({ capacityBytes: 10 });
  const writer = await storage.createExclusive("a.bin");
  expect(await writer.write(bytes("12345678"))).toBe(8);
  expect(await codeOf(writer.write(bytes("123")))).toBe("disk_full");
  expect(await storage.freeBytes("")).toBe(2);
  await storage.remove("a.bin");
  expect(await storage.freeBytes("")).toBe(10);
});

test("a memory storage takes its time from the clock it was given", async () => {
  const storage = new MemoryStorage({ now: () => 42 });
  await storage.createExclusive("a.bin");
  expect((await storage.list(""))[0]?.modifiedMs).toBe(42);
});
