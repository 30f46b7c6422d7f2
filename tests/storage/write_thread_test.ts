import { constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { WriteThread } from "../../src/storage/write_thread.ts";
import { thrownBy } from "../helpers/thrown.ts";

/** Bytes that both threads see. */
function sharedBytes(byteLength: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(byteLength));
}

describe("WriteThread", () => {
  let folder = "";
  let thread: WriteThread;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "cairn-thread-"));
    thread = WriteThread.start();
  });
  afterAll(async () => {
    await thread.end();
    rmSync(folder, { recursive: true });
  });

  function newFile(name: string): string {
    const path = join(folder, name);
    writeFileSync(path, "", { flag: "wx" });
    return path;
  }

  test("writes where it is told to, from wherever the bytes lie in the memory", async () => {
    const path = newFile("a");
    const memory = sharedBytes(16);
    memory.forEach((_, index) => memory[index] = index);
    const file = await thread.open(path, constants.O_WRONLY, memory.buffer);
    expect(await file.write(memory.subarray(8, 12), 4)).toBe(4);
    expect(await file.write(memory.subarray(1, 5), 0)).toBe(4);
    await file.close();
    expect([...readFileSync(path)]).toEqual([1, 2, 3, 4, 8, 9, 10, 11]);
  });

  test("keeps several files apart", async () => {
    const paths = [newFile("b"), newFile("c")];
    const files = await Promise.all(paths.map(async (path, index) => {
      const memory = sharedBytes(4).fill(index + 1);
      return { memory, file: await thread.open(path, constants.O_WRONLY, memory.buffer) };
    }));
    await Promise.all(files.map(({ file, memory }) => file.write(memory, 0)));
    await Promise.all(files.map(({ file }) => file.close()));
    expect(paths.map((path) => [...readFileSync(path)])).toEqual([[1, 1, 1, 1], [2, 2, 2, 2]]);
    expect(files[0]?.file.identity).not.toEqual(files[1]?.file.identity);
  });

  test("an error has the host's code, and the thread goes on", async () => {
    const memory = sharedBytes(4);
    const missing = await thrownBy(() => thread.open(join(folder, "no"), constants.O_WRONLY, memory.buffer));
    expect(missing.code).toBe("ENOENT");
    const reader = await thread.open(newFile("d"), constants.O_RDONLY, memory.buffer);
    expect((await thrownBy(() => reader.write(memory, 0))).code).toBe("EBADF");
    await reader.close();
    const writer = await thread.open(join(folder, "d"), constants.O_WRONLY, memory.buffer);
    expect(await writer.write(memory, 0)).toBe(4);
    await writer.close();
  });

  test("syncs what was asked to be written before, and says how long both took", async () => {
    const memory = sharedBytes(1 << 20);
    const file = await thread.open(newFile("f"), constants.O_WRONLY, memory.buffer);
    expect(file.times).toEqual({ writeMs: 0, syncMs: 0 });
    const all = [file.write(memory, 0), file.sync("data"), file.sync("all")];
    await Promise.all(all);
    expect([file.times.writeMs > 0, file.times.syncMs > 0]).toEqual([true, true]);
    await file.close();
    expect((await thrownBy(() => file.sync("all"))).code).toBe("EBADF");
  });

  test("makes the calls that it is given, in the order in which it is asked", async () => {
    const hooked = WriteThread.start((fs) => {
      const log: string[] = [];
      const told = <Result>(name: string, result: Result): Result => {
        log.push(name);
        return result;
      };
      return {
        openSync: fs.openSync,
        fstatSync: fs.fstatSync,
        writeSync: (...given) => told("write", fs.writeSync(...given)),
        fsyncSync: (fd) => told("fsync", fs.fsyncSync(fd)),
        fdatasyncSync: (fd) => told("fdatasync", fs.fdatasyncSync(fd)),
        closeSync: () => {
          throw Object.assign(new Error(log.join()), { code: "EIO" });
        },
      };
    });
    const memory = sharedBytes(4);
    const file = await hooked.open(newFile("g"), constants.O_WRONLY, memory.buffer);
    await Promise.all([file.write(memory, 0), file.sync("data"), file.write(memory, 4), file.sync("all")]);
    const error = await thrownBy(() => file.close());
    expect([error.code, error.message]).toEqual(["EIO", "write,fdatasync,write,fsync"]);
    await hooked.end();
  });

  test("a call to a thread that has ended is an error, and the next file gets another thread", async () => {
    const ended = WriteThread.start();
    const memory = sharedBytes(4);
    const file = await ended.open(newFile("e"), constants.O_WRONLY, memory.buffer);
    await ended.end();
    expect((await thrownBy(() => file.write(memory, 0))).message).toBe("the thread that writes has ended");
    const shared = WriteThread.shared();
    expect(WriteThread.shared()).toBe(shared);
    await shared.end();
    const next = WriteThread.shared();
    expect(next).not.toBe(shared);
    thread.share();
    expect(WriteThread.shared()).toBe(thread);
    await next.end();
  });
});
