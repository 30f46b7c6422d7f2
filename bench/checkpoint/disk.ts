import * as fs from "node:fs";
import { closeSync, constants, fsyncSync, openSync, readFileSync, readSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { type FileCalls, WriteThread } from "../../src/storage/write_thread.ts";
import { slowCalls } from "./slow_disk.ts";
import type { BenchState } from "./state.ts";

/** What one call of the system writes or reads: the fastest of 1, 4, 8, 16 and 32 MiB, or near it. */
const PIECE_BYTES = 8 * 1024 * 1024;
/** What O_DIRECT wants of addresses, offsets and lengths. */
const PAGE_BYTES = 4096;

/** Where `O_DIRECT` can be asked for: on Linux. */
export const hasDirectWrites: boolean = typeof constants.O_DIRECT === "number";

/** The disk that is measured: as it is, or slowed down. */
export interface BenchDisk {
  readonly isSlow: boolean;
  /** What bare loops write with, on this thread. */
  readonly calls: FileCalls;
  /** A thread of its own that writes to it. */
  startThread(): WriteThread;
}

/** @param name "slow", or `undefined` for the disk as it is. From then on all saves of this process write to it. */
export function openDisk(name: string | undefined): BenchDisk {
  if (name !== undefined && name !== "slow") throw new Error(`There is no disk "${name}"; say --disk=slow`);
  const isSlow = name === "slow";
  if (isSlow) WriteThread.start(slowCalls).share();
  return {
    isSlow,
    calls: isSlow ? slowCalls(fs) : fs,
    startThread: () => isSlow ? WriteThread.start(slowCalls) : WriteThread.start(),
  };
}

/** How {@link writeBare} writes. */
export interface BareWrite {
  readonly disk: BenchDisk;
  /** Past the page cache; the memory is page-aligned, and the last page is written as a whole. */
  readonly isDirect: boolean;
  /** Of the state's bytes; all of them unless given. */
  readonly byteLength?: number;
}

/** Writes the state's bytes from the host to a new file, and makes it durable: file and directory are synced. */
export function writeBare(
  { bytes }: BenchState,
  path: string,
  { disk, isDirect, byteLength }: BareWrite,
): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_DIRECT = 0 } = constants;
  const wanted = byteLength ?? bytes.byteLength;
  const length = isDirect ? Math.ceil(wanted / PAGE_BYTES) * PAGE_BYTES : wanted;
  const pages = new Uint8Array(bytes.buffer, 0, length);
  const { calls } = disk;
  const file = calls.openSync(path, O_WRONLY | O_CREAT | O_EXCL | (isDirect ? O_DIRECT : 0), 0o666);
  try {
    for (let at = 0; at < length;) {
      at += calls.writeSync(file, pages, at, Math.min(PIECE_BYTES, length - at), at);
    }
    calls.fsyncSync(file);
  } finally {
    calls.closeSync(file);
  }
  syncDirectory(dirname(path));
}

/** Writes a file in one call and makes it durable. */
export async function writeWhole(
  path: string,
  bytes: Uint8Array,
  { isSlow, calls }: BenchDisk,
): Promise<void> {
  const file = calls.openSync(path, constants.O_RDWR | constants.O_CREAT, 0o666);
  try {
    if (!isSlow) await fs.promises.writeFile(path, bytes);
    for (let at = 0; isSlow && at < bytes.byteLength;) {
      at += calls.writeSync(file, bytes, at, Math.min(PIECE_BYTES, bytes.byteLength - at), at);
    }
    calls.fsyncSync(file);
  } finally {
    calls.closeSync(file);
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

/** @throws unless the file begins with these parts of the state, one after the other. */
export function checkBareFile(
  state: BenchState,
  path: string,
  parts: readonly { readonly rawOffset: number; readonly byteLength: number }[],
): void {
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
    for (const { rawOffset, byteLength } of parts) {
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
