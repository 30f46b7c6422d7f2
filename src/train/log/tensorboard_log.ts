import { concatenated } from "../../base/bytes/concatenated.ts";
import type { StorageWriter } from "../../storage/storage.ts";
import type { Callback, CallbackRun } from "../callbacks/callback.ts";
import type { KnownEntry, LogEntry } from "./log_entry.ts";
import {
  closeDurably,
  keepRecords,
  type LogStorage,
  openLogStorage,
  readWhole,
  type RecordRange,
  writeAll,
} from "./log_file.ts";
import { type LogOptions, logSettings } from "./log_options.ts";
import { continuationOf } from "./run_entries.ts";
import { type LogSink, RunLog } from "./run_log.ts";
import { entryEvent, knownEvent, sessionEvent, versionEvent } from "./tensorboard_events.ts";
import { tfRecord, tfRecordsOf } from "./tensorboard_records.ts";
import type { Storages } from "../../storage/open_storage.ts";

/**
 * Writes a run down as scalars for TensorBoard: `loss`, `learning_rate` and `terms/…` of each step, `epoch/…` and
 * `val_…`, `save/stall_ms`, `save/duration_ms`, `save/bytes`, and `resume` at the steps that the run went on from.
 *
 * Each training writes a file of its own into the directory. Where a run goes on from a checkpoint, later steps are cut
 * off the files that are there, and a TensorBoard that is open is told; what was lost comes from the history. Without a
 * resume the log begins anew. Files of others are left alone.
 *
 * @param directory A path, a `file:` URL, or a location in a storage; one directory a run.
 * @throws CairnError `unsupported`. When the training begins: `unsupported` for a storage that cannot append.
 */
export function tensorBoardLog(directory: string | URL, options: LogOptions = {}): Callback {
  const { storages, name, now } = logSettings("tensorBoardLog", directory, options);
  return new RunLog(name, new TensorBoardFiles(String(directory), storages, now), now);
}

/** Names of the files that are written here, which sort by their time. */
const OWN_FILE = /^events\.out\.tfevents\.(\d{10})\.(\d{6})\.cairn$/;

type OwnRecord = RecordRange & { readonly file: string; readonly known: KnownEntry | undefined };

class TensorBoardFiles implements LogSink {
  readonly path: string;
  readonly #storages: Storages;
  readonly #nowMs: () => number;
  #writer: StorageWriter | undefined;

  constructor(path: string, storages: Storages, nowMs: () => number) {
    this.path = path;
    this.#storages = storages;
    this.#nowMs = nowMs;
  }

  async open(run: CallbackRun): Promise<number> {
    const storage = await openLogStorage("tensorBoardLog()", this.path, this.#storages);
    const names = (await storage.list("")).map(({ name }) => name).filter((name) => OWN_FILE.test(name))
      .sort();
    const { missing, logged } = await this.#cut(storage, names, run);
    this.#writer = await storage.openAppend(this.#nameAfter(names.at(-1)));
    const timeMs = this.#nowMs();
    const first = Math.min(run.step, ...missing.map(({ step }) => step));
    await this.#write([versionEvent(timeMs), sessionEvent(timeMs, first)]);
    await this.write(missing);
    return logged;
  }

  async write(entries: readonly LogEntry[]): Promise<void> {
    const timeMs = this.#nowMs();
    await this.#write(entries.flatMap((entry) => entryEvent(entry, timeMs) ?? []));
  }

  async close(): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    if (writer !== undefined) await closeDurably(writer);
  }

  async #write(events: readonly Uint8Array[]): Promise<void> {
    if (this.#writer === undefined || events.length === 0) return;
    await writeAll(this.#writer, concatenated(events.map(tfRecord)));
  }

  /** Takes what the run will do again out of the files. */
  async #cut(
    storage: LogStorage,
    names: readonly string[],
    run: CallbackRun,
  ): Promise<Pick<ReturnType<typeof continuationOf>, "missing" | "logged">> {
    const files: {
      readonly name: string;
      readonly bytes: Uint8Array;
      readonly records: readonly OwnRecord[];
    }[] = [];
    for (const name of names) {
      const bytes = await readWhole(storage, name) ?? new Uint8Array();
      const records = tfRecordsOf(bytes).map(({ start, end, payload }) => {
        return { file: name, start, end, known: knownEvent(payload) };
      });
      files.push({ name, bytes, records });
    }
    const entries = files.flatMap(({ records }) => records.filter(({ known }) => known !== undefined));
    const { stays, ...rest } = continuationOf(run, entries.flatMap(({ known }) => known ?? []));
    const gone = new Set<OwnRecord>(entries.filter((_, index) => stays[index] !== true));
    for (const { name, bytes, records } of files) {
      const hasScalars = records.some((record) => record.known !== undefined && !gone.has(record));
      const marked = records.map((each) => ({ ...each, stays: !gone.has(each) }));
      if (hasScalars) await keepRecords(storage, name, bytes, marked);
      else await storage.remove(name);
    }
    return rest;
  }

  /** TensorBoard reads files in the order of their names, whatever the clock says. */
  #nameAfter(last: string | undefined): string {
    const [, time = "0", count = "0"] = OWN_FILE.exec(last ?? "") ?? [];
    const seconds = Math.max(Number(time), Math.floor(this.#nowMs() / 1000));
    return `events.out.tfevents.${String(seconds).padStart(10, "0")}.${
      String(Number(count) + 1).padStart(6, "0")
    }.cairn`;
  }
}
