import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import type { BenchState } from "./state.ts";

/** What one call of the system writes or reads: the fastest of 1, 4, 8, 16 and 32 MiB, or near it. */
const PIECE_BYTES = 8 * 1024 * 1024;
/** What O_DIRECT wants of addresses, offsets and lengths. */
const PAGE_BYTES = 4096;

/** Where `O_DIRECT` can be asked for: on Linux. */
export const hasDirectWrites: boolean = typeof constants.O_DIRECT === "number";

/**
 * Writes the state's bytes from the host to a new file, and makes it durable: file and directory are synced. With
 * `isDirect` the page cache is passed by; the memory is page-aligned, and the last page is written as a whole.
 */
export function writeBare(state: BenchState, path: string, isDirect: boolean): void {
  const { buffer, byteLength } = state.bytes;
  const length = isDirect ? Math.ceil(byteLength / PAGE_BYTES) * PAGE_BYTES : byteLength;
  const bytes = new Uint8Array(buffer, 0, length);
  const { O_WRONLY, O_CREAT, O_EXCL, O_DIRECT = 0 } = constants;
  const file = openSync(path, O_WRONLY | O_CREAT | O_EXCL | (isDirect ? O_DIRECT : 0), 0o666);
  try {
    for (let at = 0; at < length;) at += writeSync(file, bytes, at, Math.min(PIECE_BYTES, length - at));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  syncDirectory(dirname(path));
}

/** Syncs a file that somebody else wrote, and its directory. */
export function syncFile(path: string): void {
  const file = openSync(path, "r+");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  syncDirectory(dirname(path));
}

/** Reads so many bytes of a file from the system's cache, again and again into the same memory. */
export function readBare(path: string, byteLength: number, into: Uint8Array): void {
  const file = openSync(path, "r");
  try {
    for (let at = 0; at < byteLength;) {
      const count = readSync(file, into, 0, Math.min(into.byteLength, byteLength - at), at);
      if (count === 0) throw new Error(`${path} ends at byte ${at}, expected ${byteLength}`);
      at += count;
    }
  } finally {
    closeSync(file);
  }
}

/** @throws unless the file holds the tensors of the state, one after the other, with padding or without. */
export function checkBareFile(state: BenchState, path: string, isPadded: boolean): void {
  const file = openSync(path, "r");
  const into = new Uint8Array(PIECE_BYTES);
  const readAt = (at: number, length: number): Uint8Array => {
    const piece = into.subarray(0, length);
    for (let done = 0; done < length;) {
      const count = readSync(file, piece, done, length - done, at + done);
      if (count === 0) throw new Error(`${path} ends at byte ${at + done}`);
      done += count;
    }
    return piece;
  };
  try {
    let at = 0;
    for (const { rawOffset, byteLength } of isPadded ? [state.whole] : state.places()) {
      for (let done = 0; done < byteLength; done += PIECE_BYTES) {
        const length = Math.min(PIECE_BYTES, byteLength - done);
        state.checkPart(readAt(at + done, length), rawOffset + done);
      }
      at += byteLength;
    }
  } finally {
    closeSync(file);
  }
}

/** The type of the file system that `directory` is on, such as "ext4"; "unknown" where the system does not say. */
export function fileSystemOf(directory: string): string {
  try {
    const mounts = readFileSync("/proc/self/mounts", "utf8").trim().split("\n").map((line) =>
      line.split(" ")
    );
    const path = realpathSync(directory);
    const found = mounts
      .map(([, point = "", type = "unknown"]) => ({ point, type }))
      .filter(({ point }) => path === point || path.startsWith(point.endsWith("/") ? point : `${point}/`))
      .sort((a, b) => a.point.length - b.point.length);
    return found.at(-1)?.type ?? "unknown";
  } catch {
    return "unknown";
  }
}

function syncDirectory(directory: string): void {
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
