import type { MoveOptions, StorageWriter } from "../../src/storage/storage.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { directoryOf } from "../../src/storage/storage_path.ts";
import { WrappedStorage } from "./wrapped_storage.ts";

/** What the disk has of what was not synced: names, contents, half of the contents, everything, or none of it. */
export const POWER_CUTS = ["nothing", "names", "contents", "half", "everything"] as const;

export type PowerCut = (typeof POWER_CUTS)[number];

interface FileOnDisk {
  current: number[];
  synced: readonly number[];
}

/** A storage that knows what is durable and what is only in the cache: after a power cut the latter may be gone. */
export class PowerCutStorage extends WrappedStorage {
  readonly #names = new Map<string, FileOnDisk>();
  readonly #durableNames = new Map<string, FileOnDisk>();

  constructor() {
    super(new MemoryStorage());
  }

  /** What a machine would find after a power cut at this moment. */
  async after(cut: PowerCut): Promise<MemoryStorage> {
    const names = cut === "names" || cut === "everything" ? this.#names : this.#durableNames;
    const disk = new MemoryStorage();
    for (const [path, { current, synced }] of names) {
      await disk.makeDirectory(directoryOf(path));
      const writer = await disk.createExclusive(path);
      const half = Math.ceil((synced.length + current.length) / 2);
      const kept = cut === "contents" || cut === "everything"
        ? current
        : cut === "half"
        ? current.slice(0, half)
        : synced;
      if (kept.length > 0) await writer.write(Uint8Array.from(kept));
      await writer.close();
    }
    return disk;
  }

  override async createExclusive(path: string): Promise<StorageWriter> {
    const writer = await super.createExclusive(path);
    const file: FileOnDisk = { current: [], synced: [] };
    this.#names.set(path, file);
    return {
      write: async (bytes) => {
        const taken = await writer.write(bytes);
        for (const byte of bytes.subarray(0, taken)) file.current.push(byte);
        return taken;
      },
      sync: async () => {
        await writer.sync();
        file.synced = [...file.current];
      },
      close: () => writer.close(),
    };
  }

  override async move(from: string, to: string, options?: MoveOptions): Promise<void> {
    await super.move(from, to, options);
    const file = this.#names.get(from);
    this.#names.delete(from);
    if (file !== undefined) this.#names.set(to, file);
  }

  override async remove(path: string): Promise<void> {
    await super.remove(path);
    this.#names.delete(path);
  }

  override async syncDirectory(directory: string): Promise<void> {
    await super.syncDirectory(directory);
    for (const path of [...this.#durableNames.keys()]) {
      if (directoryOf(path) === directory) this.#durableNames.delete(path);
    }
    for (const [path, file] of this.#names) {
      if (directoryOf(path) === directory) this.#durableNames.set(path, file);
    }
  }
}
