/*
 * Opens one thing after the other and forgets to close it, so that its memory is collected. Prints, for each, how
 * many more files are open than before. Its memory can be collected by hand where the runtime lets it.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nextTurn } from "../../src/base/event_loop.ts";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import { openSafetensors } from "../../src/exchange/safetensors/open_safetensors.ts";
import { readNpz, writeNpz } from "../../src/exchange/numpy/npz.ts";
import { saveSafetensors } from "../../src/exchange/safetensors/save_safetensors.ts";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import { openSource } from "../../src/checkpoint/file/storage_source.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { BytesSink } from "../../src/container/source.ts";
import { FileSource } from "../../src/storage/file_source.ts";
import { FileStorage } from "../../src/storage/file_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";

const directory = mkdtempSync(join(tmpdir(), "cairn-forgetful-"));
const storage = await FileStorage.open(directory);
const engine = await FileEngine.open(directory);
const tensors = { weight: HostTensor.from([1, 2, 3, 4], [2, 2], "f32") };
await engine.create("saved");
await engine.save({ state: { step: 1 } });
await engine.commit("saved");
await saveSafetensors(storage, "weights.safetensors", tensors);
const npz = new BytesSink();
await writeNpz(npz, tensors);
const writer = await storage.createExclusive("weights.npz");
await writer.write(npz.toBytes());
await writer.close();

let files = 0;
/** Everything that is opened and not closed, by the name that users have for it. */
const FORGOTTEN: Readonly<Record<string, () => Promise<unknown>>> = {
  "FileSource": async () => {
    const source = await FileSource.open(join(directory, "saved.cairn"));
    await source.read(0, new Uint8Array(64));
  },
  "StorageReader": async () => {
    const reader = await storage.openRead("saved.cairn");
    await reader.read(0, new Uint8Array(64));
  },
  "StorageWriter": async () => {
    const unfinished = await storage.createExclusive(`unfinished-${files++}`);
    await unfinished.write(new Uint8Array(64));
  },
  "ContainerReader": async () => await ContainerReader.open(await openSource(storage, "saved.cairn")),
  "Checkpoint": async () => await engine.load("saved"),
  "openCheckpoint": async () => await (await openCheckpoint(join(directory, "saved.cairn"))).state(),
  "openSafetensors": async () => await (await openSafetensors(storage, "weights.safetensors")).read("weight"),
  "readNpz": async () => await readNpz(await openSource(storage, "weights.npz")),
};

const openFiles = (): number => readdirSync("/proc/self/fd").length;
const { Bun, gc } = globalThis as { Bun?: { gc(full: boolean): void }; gc?: () => void };
async function collect(): Promise<void> {
  for (let round = 0; round < 20; round++) {
    if (Bun === undefined) gc?.();
    else Bun.gc(true);
    for (let turn = 0; turn < 5; turn++) await nextTurn();
  }
}

for (const [name, open] of Object.entries(FORGOTTEN)) {
  await open();
  await collect();
  const before = openFiles();
  for (let i = 0; i < 30; i++) await open();
  const between = openFiles();
  await collect();
  console.log(JSON.stringify({ name, forgotten: between - before, left: openFiles() - before }));
}
rmSync(directory, { recursive: true });
