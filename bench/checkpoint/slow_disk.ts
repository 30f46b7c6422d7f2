import type { FileCalls } from "../../src/storage/write_thread.ts";

/**
 * The file calls of a slow disk: it takes 980 MB/s, and syncs what it took at 980 MB/s, which is 490 MB/s of durable
 * bytes. Each call is made as on any other disk and returns when its time is over, unless it took longer anyway. It
 * is sent to the writing thread as text, so that all that it needs is in here.
 */
export function slowCalls(fs: FileCalls): FileCalls {
  const BYTES_PER_MS = 980e3;
  // What a call was late, up to so much, is taken off the next one: nobody sleeps to the microsecond.
  const MOST_LATE_MS = 5;
  const unsynced = new Map<number, number>();
  const bell = new Int32Array(new SharedArrayBuffer(4));
  let busyUntil = 0;
  const during = <Result>(bytes: number, call: () => Result): Result => {
    busyUntil = Math.max(busyUntil, performance.now() - MOST_LATE_MS) + bytes / BYTES_PER_MS;
    const result = call();
    const rest = busyUntil - performance.now();
    if (rest > 0) Atomics.wait(bell, 0, 0, rest);
    return result;
  };
  const sync = (fd: number, call: (fd: number) => void): void => {
    during(unsynced.get(fd) ?? 0, () => call(fd));
    unsynced.delete(fd);
  };
  return {
    openSync: (path, flags, mode) => fs.openSync(path, flags, mode),
    fstatSync: (fd) => fs.fstatSync(fd),
    writeSync: (fd, bytes, at, length, position) => {
      const count = during(length, () => fs.writeSync(fd, bytes, at, length, position));
      unsynced.set(fd, (unsynced.get(fd) ?? 0) + count);
      return count;
    },
    fsyncSync: (fd) => sync(fd, fs.fsyncSync),
    fdatasyncSync: (fd) => sync(fd, fs.fdatasyncSync),
    closeSync: (fd) => {
      unsynced.delete(fd);
      fs.closeSync(fd);
    },
  };
}
