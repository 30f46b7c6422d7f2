import { randomHex } from "../../base/hex.ts";
import type { FileStorage } from "../../storage/file_storage.ts";

const BLOCK_BYTES = 8 * 1024 * 1024;

/** How long one thing took, in seconds, round after round. */
export type Seconds = number[];

/** What the disk does without anything of a checkpoint: the same bytes, written durably, read, and copied durably. */
export class DiskCeilings {
  readonly write: Seconds = [];
  readonly read: Seconds = [];
  readonly copy: Seconds = [];
  readonly #storage: FileStorage;
  readonly #block: Uint8Array<ArrayBuffer>;
  readonly #byteLength: number;

  constructor(storage: FileStorage, byteLength: number) {
    this.#storage = storage;
    this.#byteLength = byteLength;
    // Noise, so that no disk makes it smaller.
    this.#block = new Uint8Array(BLOCK_BYTES);
    for (let at = 0; at < BLOCK_BYTES; at += 65_536) {
      crypto.getRandomValues(this.#block.subarray(at, at + 65_536));
    }
  }

  /** Each of the three once. */
  async round(): Promise<void> {
    const [file, copy] = [`raw-${randomHex(4)}`, `copy-${randomHex(4)}`];
    try {
      this.write.push(await seconds(() => this.#write(file)));
      this.read.push(await seconds(() => this.#read(file, () => Promise.resolve())));
      this.copy.push(await seconds(() => this.#copy(file, copy)));
    } finally {
      for (const name of [file, copy]) await this.#storage.remove(name).catch(() => {});
    }
  }

  async #write(name: string): Promise<void> {
    await this.#durably(name, async (append) => {
      for (let at = 0; at < this.#byteLength; at += BLOCK_BYTES) {
        await append(this.#block.subarray(0, Math.min(BLOCK_BYTES, this.#byteLength - at)));
      }
    });
  }

  async #copy(from: string, to: string): Promise<void> {
    await this.#durably(to, (append) => this.#read(from, append));
  }

  async #durably(
    name: string,
    fill: (append: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const writer = await this.#storage.createExclusive(name);
    await fill(async (bytes) => {
      for (let at = 0; at < bytes.byteLength;) at += await writer.write(bytes.subarray(at));
    });
    await writer.sync();
    await writer.close();
    await this.#storage.syncDirectory("");
  }

  async #read(name: string, use: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    const reader = await this.#storage.openRead(name);
    const into = new Uint8Array(BLOCK_BYTES);
    for (let at = 0; at < reader.byteLength;) {
      const count = await reader.read(at, into);
      await use(into.subarray(0, count));
      at += count;
    }
    await reader.close();
  }
}

/** How long `work` takes. */
export async function seconds(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** The middle one of some, after the first, which pays for what is done once; the only one where there is one. */
export function median(values: readonly number[]): number {
  const sorted = [...values.length > 1 ? values.slice(1) : values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = NaN, high = NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}
