import type { DiskRates } from "./disk_rates.ts";
import { hostError, hostErrorCode } from "./host_error.ts";
import type { Synced } from "./open_file.ts";

/** What a {@link BlockWriter} needs of an open file. */
export interface PositionedFile {
  /** Milliseconds of its writes and its syncs so far. */
  readonly times: { readonly writeMs: number; readonly syncMs: number };
  /** Writes a part of `bytes` and says how many. */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** Resolves when what was written by then is durable, through whichever open file. A failed sync is final. */
  sync(synced: Synced): Promise<void>;
  close(): Promise<void>;
}

/** Opens the file a second time, for direct writes from `memory`; `undefined` where there are none. */
export type OpenDirect = (memory: ArrayBufferLike) => Promise<PositionedFile | undefined>;

/**
 * Bytes of a block, and how many of them may be under way. Measured: two keep a disk busy, larger ones gain nothing.
 */
const BLOCK_BYTES = 2 * 1024 * 1024;
const BLOCKS = 4;
/** What offsets, lengths and memory have to be multiples of where a write goes around the system's cache. */
const DIRECT_ALIGNMENT = 4096;
const WASM_PAGE_BYTES = 64 * 1024;

/** Memory for the blocks of writers that are open, kept for the next one. */
export class BlockMemory {
  readonly #isShared: boolean;
  #kept: Uint8Array[] | undefined;

  /** @param isShared Whether another thread has to see it. */
  constructor({ isShared = false }: { readonly isShared?: boolean } = {}) {
    this.#isShared = isShared;
  }

  take(): Uint8Array[] {
    const blocks = this.#kept ?? allocateBlocks(this.#isShared);
    this.#kept = undefined;
    return blocks;
  }

  giveBack(blocks: Uint8Array[]): void {
    this.#kept ??= blocks;
  }
}

/** Memory of WebAssembly begins at a page, which nothing else in JavaScript promises. */
function allocateBlocks(isShared: boolean): Uint8Array[] {
  const pages = BLOCKS * BLOCK_BYTES / WASM_PAGE_BYTES;
  const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: isShared });
  return Array.from(
    { length: BLOCKS },
    (_, index) => new Uint8Array(buffer, index * BLOCK_BYTES, BLOCK_BYTES),
  );
}

/** What a {@link BlockWriter} writes with. */
export interface BlockWriterTools {
  readonly openDirect: OpenDirect;
  readonly memory: Pick<BlockMemory, "take" | "giveBack">;
  /** Says how much to write between two syncs, and is told how long it took. */
  readonly disk: Pick<DiskRates, "pieceBytes" | "measured">;
}

/**
 * Gathers what is appended to a file into blocks and writes them while the caller goes on, several at a time.
 *
 * Whole blocks go around the system's cache (`O_DIRECT`) where that is possible: a checkpoint would push everything
 * else out of it, and copying into it costs more time than the disk takes. A disk has a cache of its own, which a
 * sync empties. So a large file is synced now and then while the caller goes on, and what is left of that for the end
 * is short.
 */
export class BlockWriter {
  readonly #file: PositionedFile;
  readonly #openDirect: OpenDirect;
  readonly #memory: BlockWriterTools["memory"];
  readonly #disk: BlockWriterTools["disk"];
  #blocks: Uint8Array[] = [];
  /** The write of each block, as far as it was begun. */
  readonly #underWay: (Promise<void> | undefined)[] = [];
  #direct: Promise<PositionedFile | undefined> | undefined;
  #isDirect = true;
  #current = 0;
  #filled = 0;
  #position = 0;
  /** The sync of a piece that is under way. */
  #syncing: Promise<void> | undefined;
  /** Where the last piece ended that was given to sync. */
  #pieceEnd = 0;
  /** What the disk has been told of so far. */
  #told = { bytes: 0, writeMs: 0, syncMs: 0 };
  #error: unknown;
  #isClosed = false;

  constructor(file: PositionedFile, { openDirect, memory, disk }: BlockWriterTools) {
    this.#file = file;
    this.#openDirect = openDirect;
    this.#memory = memory;
    this.#disk = disk;
  }

  /** Opens the file for direct writes now, where so many bytes will come: that takes up to 30 ms. */
  expect(byteLength: number): void {
    if (byteLength < BLOCKS * BLOCK_BYTES || this.#isClosed || this.#blocks.length > 0) return;
    this.#blocks = this.#memory.take();
    const [first] = this.#blocks;
    if (first === undefined) return;
    this.#direct = this.#openDirect(first.buffer);
    // It is thrown where the first block is written.
    this.#direct.catch(() => {});
  }

  /** Takes a part of `bytes` and says how many. @throws what an earlier block's write failed with. */
  async write(bytes: Uint8Array): Promise<number> {
    if (this.#isClosed) throw hostError("EBADF");
    if (this.#blocks.length === 0) this.#blocks = this.#memory.take();
    await this.#underWay[this.#current];
    this.#throwFailure();
    const block = this.#blocks[this.#current] as Uint8Array;
    const taken = bytes.subarray(0, block.byteLength - this.#filled);
    block.set(taken, this.#filled);
    this.#filled += taken.byteLength;
    if (this.#filled === block.byteLength) {
      this.#begin(block);
      this.#beginSync();
    }
    return taken.byteLength;
  }

  /** Resolves when the system has all that was taken. @throws what a write failed with. */
  async flush(): Promise<void> {
    const block = this.#blocks[this.#current];
    if (block !== undefined && this.#filled > 0) this.#begin(block.subarray(0, this.#filled));
    await Promise.all(this.#underWay);
    await this.#syncing;
    this.#throwFailure();
  }

  /**
   * Resolves when all that was taken is durable. @throws what a write or a sync failed with; then it is never tried
   * again.
   */
  async sync(): Promise<void> {
    await this.flush();
    await (await this.#syncedFile()).sync("all");
    await this.#tellDisk();
  }

  /** Waits for what is under way and closes both files. @throws what a write or closing failed with. */
  async close(): Promise<void> {
    this.#isClosed = true;
    try {
      await this.flush();
    } finally {
      if (this.#blocks.length > 0) this.#memory.giveBack(this.#blocks);
      this.#blocks = [];
      await (await this.#direct)?.close();
      await this.#file.close();
    }
  }

  #begin(block: Uint8Array): void {
    const position = this.#position;
    this.#underWay[this.#current] = this.#writeAll(block, position).catch((error: unknown) => {
      this.#error ??= error;
    });
    this.#position += block.byteLength;
    this.#current = (this.#current + 1) % this.#blocks.length;
    this.#filled = 0;
  }

  /** Syncs a piece where there is one, and none under way. */
  #beginSync(): void {
    if (this.#syncing !== undefined || this.#position - this.#pieceEnd < this.#disk.pieceBytes) return;
    this.#pieceEnd = this.#position;
    this.#syncing = this.#syncPiece().catch((error: unknown) => {
      this.#error ??= error;
    }).finally(() => this.#syncing = undefined);
  }

  async #syncPiece(): Promise<void> {
    await Promise.all(this.#underWay);
    this.#throwFailure();
    await (await this.#syncedFile()).sync("data");
    await this.#tellDisk();
  }

  /** The file whose syncs take their turn with its writes, where there is one; a sync of either is one of both. */
  async #syncedFile(): Promise<PositionedFile> {
    return await this.#direct ?? this.#file;
  }

  async #tellDisk(): Promise<void> {
    const [own, direct] = [this.#file.times, (await this.#direct)?.times];
    const all = {
      bytes: this.#position,
      writeMs: own.writeMs + (direct?.writeMs ?? 0),
      syncMs: own.syncMs + (direct?.syncMs ?? 0),
    };
    const { bytes, writeMs, syncMs } = this.#told;
    this.#disk.measured({
      bytes: all.bytes - bytes,
      writeMs: all.writeMs - writeMs,
      syncMs: all.syncMs - syncMs,
    });
    this.#told = all;
  }

  async #writeAll(block: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < block.byteLength;) {
      const count = await this.#writeSome(block.subarray(done), position + done);
      if (count === 0) throw new Error("the system took none of the bytes");
      done += count;
    }
  }

  async #writeSome(bytes: Uint8Array, position: number): Promise<number> {
    const direct = await this.#directFileFor(bytes, position);
    try {
      return await (direct ?? this.#file).write(bytes, position);
    } catch (error) {
      if (direct === undefined || hostErrorCode(error) !== "EINVAL") throw error;
      // The file could be opened for direct writes, but the file system wants them aligned in some other way.
      this.#isDirect = false;
      return await this.#file.write(bytes, position);
    }
  }

  async #directFileFor(
    { byteLength, buffer }: Uint8Array,
    position: number,
  ): Promise<PositionedFile | undefined> {
    const isAligned = byteLength % DIRECT_ALIGNMENT === 0 && position % DIRECT_ALIGNMENT === 0;
    return isAligned && this.#isDirect ? await (this.#direct ??= this.#openDirect(buffer)) : undefined;
  }

  #throwFailure(): void {
    if (this.#error !== undefined) throw this.#error;
  }
}
