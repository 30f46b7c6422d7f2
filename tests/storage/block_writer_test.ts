import { describe, expect, test } from "bun:test";
import {
  BlockMemory,
  BlockWriter,
  type BlockWriterTools,
  type PositionedFile,
} from "../../src/storage/block_writer.ts";
import type { DiskWork } from "../../src/storage/disk_rates.ts";
import { hostError } from "../../src/storage/host_error.ts";
import { thrownBy } from "../helpers/thrown.ts";

const MiB = 1024 * 1024;

interface Write {
  readonly position: number;
  readonly byteLength: number;
}

/** A file in memory. `answer` says how many of the bytes it takes, or throws. */
class MemoryFile {
  readonly bytes = new Uint8Array(16 * MiB);
  readonly writes: Write[] = [];
  /** How many bytes there were at each sync. */
  readonly syncs: number[] = [];
  readonly times = { writeMs: 0, syncMs: 0 };
  closed = 0;
  byteLength = 0;
  answer: (write: Write) => number | Promise<number> = ({ byteLength }) => byteLength;
  /** What a sync waits for. */
  syncing: () => void | Promise<void> = () => {};

  get file(): PositionedFile {
    const write = async (from: Uint8Array, position: number): Promise<number> => {
      const asked = { position, byteLength: from.byteLength };
      this.writes.push(asked);
      const taken = await this.answer(asked);
      this.bytes.set(from.subarray(0, taken), position);
      this.byteLength = Math.max(this.byteLength, position + taken);
      this.times.writeMs += taken / MiB;
      return taken;
    };
    const sync = async (): Promise<void> => {
      this.syncs.push(this.byteLength);
      this.times.syncMs += 10;
      await this.syncing();
    };
    const close = (): Promise<void> => {
      this.closed++;
      return Promise.resolve();
    };
    return { times: this.times, write, sync, close };
  }
}

function noise(byteLength: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(byteLength / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1);
  return new Uint8Array(words.buffer, 0, byteLength);
}

/** Where two files differ first, or -1; a matcher takes seconds for this many elements. */
function firstDifference(found: Uint8Array, expected: Uint8Array): number {
  return expected.findIndex((byte, index) => found[index] !== byte);
}

async function writeAll(writer: BlockWriter, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) at += await writer.write(bytes.subarray(at));
}

function writerOf(
  plain: MemoryFile,
  direct?: MemoryFile,
  tools: Partial<BlockWriterTools> = {},
): BlockWriter {
  return new BlockWriter(plain.file, {
    openDirect: () => Promise.resolve(direct?.file),
    memory: new BlockMemory(),
    disk: { pieceBytes: Infinity, measured: () => {} },
    ...tools,
  });
}

/** A disk whose files are synced every so many bytes, and what it was told. */
function diskOf(pieceBytes: number): BlockWriterTools["disk"] & { readonly told: DiskWork[] } {
  const told: DiskWork[] = [];
  return { pieceBytes, told, measured: (work) => void told.push(work) };
}

describe("BlockWriter", () => {
  test("writes whole blocks to the direct file and what is left to the plain one", async () => {
    const plain = new MemoryFile();
    const direct = new MemoryFile();
    direct.bytes.set(plain.bytes);
    const writer = writerOf(plain, direct);
    const bytes = noise(9 * MiB + 5);
    await writeAll(writer, bytes);
    await writer.flush();
    expect(direct.byteLength).toBe(8 * MiB);
    expect(direct.writes.every(({ position, byteLength }) => position % 4096 + byteLength % 4096 === 0)).toBe(
      true,
    );
    expect(plain.writes).toEqual([{ position: 8 * MiB, byteLength: MiB + 5 }]);
    const found = direct.bytes.slice(0, bytes.byteLength);
    found.set(plain.bytes.subarray(8 * MiB, bytes.byteLength), 8 * MiB);
    expect(firstDifference(found, bytes)).toBe(-1);
    await writer.close();
    expect([plain.closed, direct.closed]).toEqual([1, 1]);
  });

  test("a small file is one plain write, and the direct file is never opened", async () => {
    const plain = new MemoryFile();
    const writer = writerOf(plain, undefined, { openDirect: () => Promise.reject(new Error("opened")) });
    for (const byte of [1, 2, 3]) await writer.write(Uint8Array.of(byte));
    expect(plain.writes).toEqual([]);
    await writer.flush();
    expect(plain.writes).toEqual([{ position: 0, byteLength: 3 }]);
    await writer.write(Uint8Array.of(4));
    await writer.close();
    expect(plain.bytes.slice(0, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
  });

  test("opens the direct file before the first byte where many are expected, and closes it without any", async () => {
    const direct = new MemoryFile();
    let opened = 0;
    const openDirect = (): Promise<PositionedFile> => Promise.resolve((opened++, direct.file));
    const small = writerOf(new MemoryFile(), direct, { openDirect });
    small.expect(MiB);
    expect(opened).toBe(0);
    await small.close();
    const large = writerOf(new MemoryFile(), direct, { openDirect });
    large.expect(64 * MiB);
    large.expect(64 * MiB);
    expect(opened).toBe(1);
    const bytes = noise(2 * MiB);
    await writeAll(large, bytes);
    await large.flush();
    expect([opened, direct.byteLength]).toEqual([1, 2 * MiB]);
    await large.close();
    const unused = writerOf(new MemoryFile(), direct, { openDirect });
    unused.expect(64 * MiB);
    await unused.close();
    expect([opened, direct.closed]).toEqual([2, 2]);
  });

  test("what opening the direct file early fails with is thrown by the first block that is written", async () => {
    const failure = new Error("no more files");
    const writer = writerOf(new MemoryFile(), undefined, { openDirect: () => Promise.reject(failure) });
    writer.expect(64 * MiB);
    await writer.write(noise(MiB));
    await writeAll(writer, noise(MiB));
    expect(await thrownBy(() => writer.flush())).toBe(failure);
    expect(await thrownBy(() => writer.close())).toBe(failure);
  });

  test("goes on through the cache where the file system refuses the alignment", async () => {
    const plain = new MemoryFile();
    const direct = new MemoryFile();
    direct.answer = () => {
      throw hostError("EINVAL");
    };
    const writer = writerOf(plain, direct);
    const bytes = noise(7 * MiB);
    await writeAll(writer, bytes);
    await writer.close();
    expect(firstDifference(plain.bytes, bytes)).toBe(-1);
    expect([plain.closed, direct.closed]).toEqual([1, 1]);
  });

  test("goes on after short writes, through the cache where they end between two blocks of the disk", async () => {
    const plain = new MemoryFile();
    const direct = new MemoryFile();
    plain.bytes.set(direct.bytes);
    direct.answer = ({ byteLength }) => Math.min(byteLength, 1000);
    plain.answer = ({ byteLength }) => Math.min(byteLength, MiB + 1);
    const writer = writerOf(plain, direct);
    const bytes = noise(2 * MiB);
    await writeAll(writer, bytes);
    await writer.flush();
    const found = plain.bytes.slice(0, bytes.byteLength);
    found.set(direct.bytes.subarray(0, 1000));
    expect(firstDifference(found, bytes)).toBe(-1);
    expect(direct.writes.length).toBe(1);
    await writer.close();
  });

  test("the caller may change bytes again once they are taken, and no block is overwritten while it is under way", async () => {
    const plain = new MemoryFile();
    const waiting: (() => void)[] = [];
    plain.answer = ({ byteLength }) => new Promise((resolve) => waiting.push(() => resolve(byteLength)));
    const writer = writerOf(plain);
    const bytes = noise(12 * MiB);
    const piece = new Uint8Array(MiB);
    let taken = 0;
    const writing = (async () => {
      for (let at = 0; at < bytes.byteLength; at += MiB) {
        piece.set(bytes.subarray(at, at + MiB));
        await writeAll(writer, piece);
        taken += MiB;
      }
    })();
    // Four blocks of two MiB are all there are; none was written so far.
    while (waiting.length < 4) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(taken).toBe(8 * MiB);
    while (taken < bytes.byteLength) {
      for (const resolve of waiting.splice(0)) resolve();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await writing;
    const closing = writer.close();
    while (plain.closed === 0) {
      for (const resolve of waiting.splice(0)) resolve();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await closing;
    expect(firstDifference(plain.bytes, bytes)).toBe(-1);
  });

  test("a failed write fails what comes after it, and closing still closes", async () => {
    const plain = new MemoryFile();
    plain.answer = ({ position }) => {
      if (position === 2 * MiB) throw hostError("ENOSPC");
      return 2 * MiB;
    };
    const writer = writerOf(plain);
    const error = await thrownBy(() => writeAll(writer, noise(40 * MiB)));
    expect(error.code).toBe("ENOSPC");
    expect((await thrownBy(() => writer.flush())).code).toBe("ENOSPC");
    expect((await thrownBy(() => writer.close())).code).toBe("ENOSPC");
    expect(plain.closed).toBe(1);
    expect((await thrownBy(() => writer.write(noise(1)))).code).toBe("EBADF");
  });

  test("a write of nothing is an error", async () => {
    const plain = new MemoryFile();
    plain.answer = () => 0;
    const writer = writerOf(plain);
    await writer.write(noise(1));
    expect((await thrownBy(() => writer.flush())).message).toBe("the system took none of the bytes");
    await thrownBy(() => writer.close());
  });

  test("syncs a large file in pieces while it is written, and the rest at the end", async () => {
    const plain = new MemoryFile();
    const disk = diskOf(4 * MiB);
    const writer = writerOf(plain, undefined, { disk });
    for (const [mebibytes, syncs] of [[5, 1], [4, 2], [2, 2]] as const) {
      await writeAll(writer, noise(mebibytes * MiB));
      await new Promise((resolve) => setTimeout(resolve, 0));
      expect(plain.syncs.length).toBe(syncs);
    }
    await writer.sync();
    expect(plain.syncs.length).toBe(3);
    expect(plain.syncs[2]).toBe(11 * MiB);
    const sum = (of: (work: DiskWork) => number): number =>
      disk.told.reduce((all, work) => all + of(work), 0);
    expect([sum(({ bytes }) => bytes), sum(({ syncMs }) => syncMs)]).toEqual([11 * MiB, 30]);
    expect(sum(({ writeMs }) => writeMs)).toBeCloseTo(11, 9);
    await writer.close();
  });

  test("a file that is shorter than a piece is synced once, by the direct file where there is one", async () => {
    for (const direct of [undefined, new MemoryFile()]) {
      const plain = new MemoryFile();
      const writer = writerOf(plain, direct, { disk: diskOf(4 * MiB) });
      await writeAll(writer, noise(3 * MiB));
      await writer.sync();
      await writer.close();
      const asked = direct ?? plain;
      expect([asked.syncs.length, asked === plain ? 0 : plain.syncs.length]).toEqual([1, 0]);
    }
  });

  test("syncs a piece when its blocks are written, not before", async () => {
    const plain = new MemoryFile();
    const waiting: (() => void)[] = [];
    plain.answer = ({ byteLength }) => new Promise((resolve) => waiting.push(() => resolve(byteLength)));
    const writer = writerOf(plain, undefined, { disk: diskOf(4 * MiB) });
    await writeAll(writer, noise(5 * MiB));
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect([waiting.length, plain.syncs.length]).toEqual([2, 0]);
    for (const resolve of waiting.splice(0)) resolve();
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(plain.syncs).toEqual([4 * MiB]);
    plain.answer = ({ byteLength }) => byteLength;
    await writer.close();
  });

  test("goes on writing during the sync of a piece, which the end waits for", async () => {
    const plain = new MemoryFile();
    let release = (): void => {};
    plain.syncing = () => new Promise((resolve) => release = resolve);
    const writer = writerOf(plain, undefined, { disk: diskOf(2 * MiB) });
    const bytes = noise(12 * MiB);
    await writeAll(writer, bytes);
    // The first is not over, so that no other was begun.
    expect([plain.writes.length, plain.syncs.length]).toEqual([6, 1]);
    plain.syncing = () => {};
    let isSynced = false;
    const synced = writer.sync().then(() => isSynced = true);
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect([isSynced, plain.syncs.length]).toEqual([false, 1]);
    release();
    await synced;
    expect(plain.syncs.at(-1)).toBe(12 * MiB);
    await writer.close();
    expect(firstDifference(plain.bytes, bytes)).toBe(-1);
  });

  test("a failed sync of a piece is final: nothing more is taken, and it is not tried again", async () => {
    const plain = new MemoryFile();
    plain.syncing = () => {
      throw hostError("EIO");
    };
    const writer = writerOf(plain, undefined, { disk: diskOf(2 * MiB) });
    expect((await thrownBy(() => writeAll(writer, noise(14 * MiB)))).code).toBe("EIO");
    expect((await thrownBy(() => writer.sync())).code).toBe("EIO");
    expect((await thrownBy(() => writer.close())).code).toBe("EIO");
    expect([plain.syncs.length, plain.closed]).toEqual([1, 1]);
  });

  test("closing waits for the sync of a piece, and does none of its own", async () => {
    const plain = new MemoryFile();
    let release = (): void => {};
    plain.syncing = () => new Promise((resolve) => release = resolve);
    const writer = writerOf(plain, undefined, { disk: diskOf(2 * MiB) });
    await writeAll(writer, noise(5 * MiB));
    const closing = writer.close();
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect([plain.closed, plain.syncs.length]).toEqual([0, 1]);
    release();
    await closing;
    expect([plain.closed, plain.syncs.length]).toEqual([1, 1]);
  });

  test("memory of a writer that was closed serves the next", () => {
    const memory = new BlockMemory();
    const first = memory.take();
    memory.giveBack(first);
    expect(memory.take()).toBe(first);
    expect(memory.take()).not.toBe(first);
    expect(first.every(({ byteOffset }) => byteOffset % 4096 === 0)).toBe(true);
  });
});
