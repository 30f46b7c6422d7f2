import { CairnError } from "../../base/errors.ts";
import { nodeBuiltin } from "../../base/node_builtin.ts";
import { FileStorage } from "../../storage/file_storage.ts";
import { localPath, refuseRemote } from "../../storage/open_storage.ts";
import type { ModelCode } from "../capture/model_code.ts";

const MAX_SOURCE_BYTES = 1 << 20;

/**
 * Reads the text of a module, to be kept in every checkpoint: give it to `Snapshot`, or to `autoSave`, as
 * `modelCode`. Follows the saving of a model's code of NNHandler.
 *
 * @param module Path or `file:` URL of the module; `import.meta.url` is the one that asks.
 * @param onWarning Told of what goes wrong, which then gives `undefined`: a checkpoint is saved even without its
 * code. Without `onWarning` the error is thrown.
 * @throws CairnError `not_found`, `unsupported` for a module that is no file, `limit_exceeded` above 1 MiB,
 * `invalid_file` for a file that is no text in UTF-8.
 *
 * @example
 * ```ts
 * const modelCode = await readModelCode(import.meta.url, console.warn);
 * trainer.autoSave({ interval: 1, modelCode: modelCode ?? null });
 * ```
 */
export async function readModelCode(module: string | URL): Promise<ModelCode>;
export async function readModelCode(
  module: string | URL,
  onWarning: (message: string) => void,
): Promise<ModelCode | undefined>;
export async function readModelCode(
  module: string | URL,
  onWarning?: (message: string) => void,
): Promise<ModelCode | undefined> {
  try {
    return await readModule(module);
  } catch (error) {
    if (onWarning === undefined) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    onWarning(`Checkpoints are saved without the model's code: ${reason}`);
    return undefined;
  }
}

async function readModule(module: string | URL): Promise<ModelCode> {
  refuseRemote(module);
  const paths = nodeBuiltin("node:path");
  const urls = nodeBuiltin("node:url");
  if (paths === undefined || urls === undefined) {
    throw new CairnError(
      "unsupported",
      `Cannot read the code of "${module}": this runtime has no file system`,
    );
  }
  const local = localPath(module);
  const full = typeof local === "string" ? local : urls.fileURLToPath(local);
  const name = paths.basename(full);
  const storage = await FileStorage.open(paths.dirname(full));
  const reader = await storage.openRead(name);
  try {
    if (reader.byteLength > MAX_SOURCE_BYTES) {
      throw new CairnError(
        "limit_exceeded",
        `"${full}" has ${reader.byteLength} bytes; at most ${MAX_SOURCE_BYTES} of code are kept`,
        { details: { path: full, limit: MAX_SOURCE_BYTES, value: reader.byteLength } },
      );
    }
    const bytes = new Uint8Array(reader.byteLength);
    for (let done = 0; done < bytes.byteLength;) {
      const count = await reader.read(done, bytes.subarray(done));
      if (count === 0) throw new CairnError("truncated", `"${full}" became shorter while it was read`);
      done += count;
    }
    return { module: name, source: decode(bytes, full) };
  } finally {
    await reader.close();
  }
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CairnError("invalid_file", `"${path}" is not UTF-8 text`, { details: { path }, cause });
  }
}
