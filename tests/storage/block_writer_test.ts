import { describe, expect, test } from "bun:test";
import { BlockMemory, BlockWriter, type PositionedFile } from "../../src/storage/block_writer.ts";
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
  closed = 0;
  byteLength = 0;
  answer: (write: Write) => number | Promise<number> = ({ byteLength }) => byteLength;

  get file(): PositionedFile {
    const write = async (from: Uint8Array, position: number): Promise<number> => {
      const asked = { position, byteLength: from.byteLength };
      this.writes.push(asked);
      const taken = await this.answer(asked);
      this.bytes.set(from.subarray(0, taken), position);
      this.byteLength = Math.max(this.byteLength, position + taken);
      return taken;
    };
    const close = (): Promise<void> => {
      this.closed++;
      return Promise.resolve();
    };
    return { write, close };
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

function writerOf(plain: MemoryFile, direct?: MemoryFile, memory = new BlockMemory()): BlockWriter {
  return new BlockWriter(plain.file, () => Promise.resolve(direct?.file), memory);
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
    const writer = new BlockWriter(plain.file, () => Promise.reject(new Error("opened")), new BlockMemory());
    for (const byte of [1, 2, 3]) await writer.write(Uint8Array.of(byte));
    expect(plain.writes).toEqual([]);
    await writer.flush();
    expect(plain.writes).toEqual([{ position: 0, byteLength: 3 }]);
    await writer.write(Uint8Array.of(4));
    await writer.close();
    expect(plain.bytes.slice(0, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
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

  test("what is taken may change again, and blocks are not overwritten while they are under way", async () => {
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
    const memory = new BlockMemory();
    const writer = writerOf(plain, undefined, memory);
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

  test("memory of a writer that was closed serves the next", () => {
    const memory = new BlockMemory();
    const first = memory.take();
    memory.giveBack(first);
    expect(memory.take()).toBe(first);
    expect(memory.take()).not.toBe(first);
    expect(first.every(({ byteOffset }) => byteOffset % 4096 === 0)).toBe(true);
  });
});
