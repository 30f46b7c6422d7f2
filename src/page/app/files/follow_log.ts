import { LogCurves } from "../curves/log_curves.ts";
import type { RunCurves } from "../curves/run_curves.ts";
import type { ReadableFiles } from "./readable_files.ts";

/** As many bytes of what was read last are read again, to see that they are still the same. */
const OVERLAP_BYTES = 256;

/**
 * Reads a log that grows, and no byte of it twice but a few. When it was cut back or is another file, as after a
 * resume, it is read anew.
 */
export class LogFollower {
  readonly path: string;
  readonly #files: ReadableFiles;
  readonly #name: string;
  #curves = new LogCurves();
  #decoder = new TextDecoder();
  #offset = 0;
  #last = new Uint8Array(0);

  constructor(files: ReadableFiles, path: string, name: string) {
    this.path = path;
    this.#files = files;
    this.#name = name;
  }

  /** What was read so far. */
  get curves(): RunCurves {
    return this.#curves.curves(this.#name, this.path);
  }

  /** Reads what is new. Gives whether there was something. */
  async poll(signal: AbortSignal): Promise<boolean> {
    const start = this.#offset - this.#last.byteLength;
    const found = await this.#files.readFrom(this.path, start, signal);
    const isSame = found !== "shorter" && startsWith(found, this.#last);
    if (!isSame) {
      const hadSome = this.#offset > 0;
      this.#forget();
      return hadSome ? (await this.poll(signal), true) : false;
    }
    const added = found.subarray(this.#last.byteLength);
    if (added.byteLength === 0) return false;
    this.#curves.add(this.#decoder.decode(added, { stream: true }));
    this.#offset += added.byteLength;
    this.#last = found.slice(-OVERLAP_BYTES);
    return true;
  }

  #forget(): void {
    this.#curves = new LogCurves();
    this.#decoder = new TextDecoder();
    this.#offset = 0;
    this.#last = new Uint8Array(0);
  }
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.byteLength >= start.byteLength && start.every((byte, index) => byte === bytes[index]);
}
