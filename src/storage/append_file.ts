import { hostError } from "./host_error.ts";
import { OpenFile } from "./open_file.ts";

type FileSystem = typeof import("node:fs");

/** A plain file that is open to be written behind what it has. */
export class AppendedFile {
  readonly #file: OpenFile;
  #end: number;

  private constructor(file: OpenFile, end: number) {
    this.#file = file;
    this.#end = end;
  }

  /** Opens a file, or creates it, without following links. @throws the host's error, like all methods. */
  static async open(fs: FileSystem, path: string): Promise<AppendedFile> {
    const { O_WRONLY, O_CREAT } = fs.constants;
    const { file, byteLength } = await openPlain(fs, path, O_WRONLY | O_CREAT);
    return new AppendedFile(file, byteLength);
  }

  /** Writes a part of `bytes` and says how many. */
  async write(bytes: Uint8Array): Promise<number> {
    const written = await this.#file.write(bytes, this.#end);
    this.#end += written;
    return written;
  }

  async sync(): Promise<void> {
    await this.#file.sync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Cuts a plain file, without following links. @throws RangeError when it is shorter; the host's error. */
export async function cutFile(fs: FileSystem, path: string, byteLength: number): Promise<void> {
  const { file, byteLength: before } = await openPlain(fs, path, fs.constants.O_WRONLY);
  try {
    requireShorter(byteLength, before);
    await file.ask<void>((fd, done) => fs.ftruncate(fd, byteLength, (error) => done(error)));
  } finally {
    await file.close();
  }
}

/** @throws RangeError unless a file of `before` bytes can be cut to `byteLength`. */
export function requireShorter(byteLength: number, before: number): void {
  if (Number.isSafeInteger(byteLength) && byteLength >= 0 && byteLength <= before) return;
  throw new RangeError(`A file of ${before} bytes is cut to 0 to ${before} bytes, not to ${byteLength}`);
}

async function openPlain(
  fs: FileSystem,
  path: string,
  flags: number,
): Promise<{ readonly file: OpenFile; readonly byteLength: number }> {
  const { O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  // Without O_NONBLOCK the open of a named pipe would wait for a reader for ever.
  const file = await OpenFile.open(fs, path, flags | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0), 0o666);
  try {
    const stats = await file.stat();
    if (stats.isDirectory()) throw hostError("EISDIR");
    if (!stats.isFile()) throw new Error("it is no plain file");
    return { file, byteLength: stats.size };
  } catch (error) {
    await file.close();
    throw error;
  }
}
