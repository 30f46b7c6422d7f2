import { CairnError } from "../../base/errors.ts";
import type { Storages } from "../../storage/open_storage.ts";
import type { StorageWriter } from "../../storage/storage.ts";
import type { CallbackRun } from "../callbacks/callback.ts";
import type { KnownEntry, LogEntry } from "./log_entry.ts";
import {
  closeDurably,
  keepRecords,
  logLocation,
  openLogStorage,
  readWhole,
  type RecordRange,
  writeAll,
} from "./log_file.ts";
import { continuationOf } from "./run_entries.ts";
import type { LogSink } from "./run_log.ts";
import type { TextFormat } from "./text_format.ts";

/** A file of lines. */
export class TextLog implements LogSink {
  readonly path: string;
  readonly #what: string;
  readonly #location: { readonly directory: string; readonly name: string };
  readonly #storages: Storages;
  readonly #format: TextFormat;
  readonly #encoder = new TextEncoder();
  #writer: StorageWriter | undefined;

  /**
   * @param what The function that it was made with.
   * @throws TypeError for a path that names no file; CairnError `unsupported` for a scheme that nobody opens.
   */
  constructor(what: string, path: string | URL, format: TextFormat, storages: Storages) {
    this.path = String(path);
    this.#what = what;
    this.#location = logLocation(what, path, storages);
    this.#storages = storages;
    this.#format = format;
  }

  async open(run: CallbackRun): Promise<number> {
    const { directory, name } = this.#location;
    const storage = await openLogStorage(this.#what, directory, this.#storages);
    const bytes = await readWhole(storage, name) ?? new Uint8Array();
    const { header, lines } = this.#linesOf(bytes, run);
    const { stays, missing, logged } = continuationOf(run, lines);
    const records = lines.map(({ start, end }, index) => ({ start, end, stays: stays[index] === true }));
    const whole = header === undefined ? records : [{ ...header, stays: true }, ...records];
    await keepRecords(storage, name, bytes, whole);
    this.#writer = await storage.openAppend(name);
    const first = this.#format.header(run);
    if (header === undefined && first !== "") await this.#writeLines([first]);
    await this.write(missing, run);
    return logged;
  }

  async write(entries: readonly LogEntry[], run: CallbackRun): Promise<void> {
    await this.#writeLines(entries.map((entry) => this.#format.line(entry, run)));
  }

  async close(): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    if (writer !== undefined) await closeDurably(writer);
  }

  async #writeLines(lines: readonly string[]): Promise<void> {
    if (this.#writer === undefined || lines.length === 0) return;
    await writeAll(this.#writer, this.#encoder.encode(lines.map((line) => `${line}\n`).join("")));
  }

  /**
   * The whole lines of a file. One without an end was never whole.
   *
   * @throws CairnError `invalid_file` for a file that this format did not write, of which nothing may be cut off.
   */
  #linesOf(bytes: Uint8Array, run: CallbackRun): {
    readonly header: RecordRange | undefined;
    readonly lines: readonly (RecordRange & KnownEntry)[];
  } {
    const header = this.#format.header(run);
    const decoder = new TextDecoder();
    const lines: (RecordRange & KnownEntry)[] = [];
    let found: RecordRange | undefined;
    for (let start = 0, end = 0; start < bytes.length; start = end) {
      end = bytes.indexOf(LINE_FEED, start) + 1;
      if (end === 0) {
        // Of a process that was killed while it wrote. Where there is nothing before it, it may be anybody's.
        const text = decoder.decode(bytes);
        if (start === 0 && !this.#format.mayBegin(text, run)) {
          throw this.#notOwn(`it begins with "${shortened(text)}"`);
        }
        break;
      }
      const text = decoder.decode(bytes.subarray(start, end - 1));
      if (start === 0 && header !== "") {
        this.#requireHeader(text, header);
        found = { start, end };
        continue;
      }
      const known = this.#format.parse(text);
      if (known === undefined) {
        throw this.#notOwn(`line ${lines.length + (found === undefined ? 1 : 2)} is "${shortened(text)}"`);
      }
      lines.push({ start, end, ...known });
    }
    return { header: found, lines };
  }

  #requireHeader(found: string, expected: string): void {
    if (found === expected) return;
    throw this.#notOwn(`its first line is "${shortened(found)}" and not "${shortened(expected)}"`);
  }

  #notOwn(why: string): CairnError {
    return new CairnError(
      "invalid_file",
      `${this.#what} does not go on with "${this.path}", which is no ${this.#format.name} log of this run: ${why}. ` +
        "Give another path, or move the file away",
      { details: { path: this.path } },
    );
  }
}

const LINE_FEED = 10;
const SHOWN_LENGTH = 80;

function shortened(text: string): string {
  return text.length <= SHOWN_LENGTH ? text : `${text.slice(0, SHOWN_LENGTH)}…`;
}
