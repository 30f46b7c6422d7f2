import type { Callback } from "../callbacks/callback.ts";
import { CSV_FORMAT } from "./csv_format.ts";
import { type LogOptions, logSettings } from "./log_options.ts";
import { RunLog } from "./run_log.ts";
import { TextLog } from "./text_log.ts";

/**
 * Writes a run down as a table: a row for each step, epoch, validation, save, start and end, which the column `kind`
 * tells apart. `docs/training.md` has the columns.
 *
 * Where a run goes on from a checkpoint, the rows of later steps are cut off, and those that were lost come from the
 * history: so no step is there twice, and none is missing. Without a resume the log begins anew.
 *
 * @param path Of the file, a `file:` URL, or a location in a storage.
 * @throws TypeError for a path that names no file; CairnError `unsupported`. When the training begins: `invalid_file`
 * for a file that is no such log, of which nothing is changed; `unsupported` for a storage that cannot append.
 */
export function csvLog(path: string | URL, options: LogOptions = {}): Callback {
  const { storages, name, now } = logSettings("csvLog", path, options);
  return new RunLog(name, new TextLog("csvLog()", path, CSV_FORMAT, storages), now);
}
