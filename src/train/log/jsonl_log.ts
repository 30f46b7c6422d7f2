import type { Callback } from "../callbacks/callback.ts";
import { JSONL_FORMAT } from "./jsonl_format.ts";
import { type LogOptions, logSettings } from "./log_options.ts";
import { RunLog } from "./run_log.ts";
import { TextLog } from "./text_log.ts";

/**
 * Writes a run down as lines of JSON: one for each step, epoch, validation, save, start and end. `docs/training.md` has
 * their fields; the page of `cairn serve` follows such a file.
 *
 * Where a run goes on from a checkpoint, the lines of later steps are cut off, and those that were lost come from the
 * history: so no step is there twice, and none is missing. Without a resume the log begins anew.
 *
 * @param path Of the file, a `file:` URL, or a location in a storage.
 * @throws TypeError for a path that names no file; CairnError `unsupported`. When the training begins: `invalid_file`
 * for a file that is no such log, of which nothing is changed; `unsupported` for a storage that cannot append.
 */
export function jsonlLog(path: string | URL, options: LogOptions = {}): Callback {
  const { storages, name, now } = logSettings("jsonlLog", path, options);
  return new RunLog(name, new TextLog("jsonlLog()", path, JSONL_FORMAT, storages), now);
}
