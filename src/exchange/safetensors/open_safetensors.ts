import type { HostTensor } from "../../tensor/host_tensor.ts";
import { openStorage } from "../../storage/open_storage.ts";
import type { Storage } from "../../storage/storage.ts";
import { CairnError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options/options.ts";
import { HTTP_SOURCE_OPTIONS, type HttpSourceOptions } from "../../storage/http_source.ts";
import { HttpStorage } from "../../storage/http_storage.ts";
import { cutLocation } from "../../storage/cut_location.ts";
import { directoryOf, joinPath } from "../../storage/storage_path.ts";
import { withSource } from "../../checkpoint/file/storage_source.ts";
import { explainKind } from "../explain_kind.ts";
import { readSafetensors, type SafetensorsFile } from "./read_safetensors.ts";
import { INDEX_EXTENSION, readSafetensorsIndex } from "./safetensors_shards.ts";
import {
  type ExchangeReadOptions,
  type ForeignTensor,
  noSuchTensor,
  quoted,
  type TensorFile,
} from "../tensor_file.ts";

/**
 * Opens a safetensors file, or all files of a model by their index, `….safetensors.index.json`, wherever they lie: at
 * a path, at a `file:` URL, or on a web server, which is asked for ranges. Headers are read and checked, tensors are
 * not touched.
 *
 * @param options For a web server: headers, a signal, a timeout.
 * @throws CairnError `not_found`, or what is wrong with a file, with its path in the message; `unsupported` where
 * there is no file system, and for a URL of another scheme.
 */
export async function openSafetensors(
  location: string | URL,
  options?: HttpSourceOptions,
): Promise<TensorFile>;
/** Opens a safetensors file of a storage, or all files of a model by their index. */
export async function openSafetensors(storage: Storage, path: string): Promise<TensorFile>;
export async function openSafetensors(
  from: Storage | string | URL,
  rest: string | HttpSourceOptions = {},
): Promise<TensorFile> {
  const { storage, path } = await placeOf(from, rest);
  if (!path.endsWith(INDEX_EXTENSION)) return await openFile(storage, path);
  const files = await withSource(storage, path, async (source) => {
    const index = await explainKind(
      source,
      "safetensors index",
      "json",
      () => readSafetensorsIndex(source),
    );
    await source.close();
    return index;
  });
  return await ShardedSafetensors.open(storage, path, files);
}

async function placeOf(
  from: Storage | string | URL,
  rest: string | HttpSourceOptions,
): Promise<{ storage: Storage; path: string }> {
  if (typeof from !== "string" && !(from instanceof URL)) {
    if (typeof rest === "string") return { storage: from, path: rest };
    throw new TypeError("openSafetensors() of a storage needs the path in it as well");
  }
  if (typeof rest === "string") {
    throw new TypeError(
      "openSafetensors() takes one path or URL, or a storage and a path in it; found two texts",
    );
  }
  checkOptions("openSafetensors()", rest, HTTP_SOURCE_OPTIONS, "{ headers }");
  if (/^https?:\/\//i.test(String(from))) {
    const storage = new HttpStorage(from, rest);
    return { storage, path: storage.name };
  }
  const { directory, name } = cutLocation(from);
  return { storage: await openStorage(directory), path: name };
}

/** A model in several files, whose index says which tensor is in which. */
class ShardedSafetensors implements TensorFile {
  readonly #shards: ReadonlyMap<string, SafetensorsFile>;

  private constructor(shards: ReadonlyMap<string, SafetensorsFile>) {
    this.#shards = shards;
  }

  static async open(
    storage: Storage,
    path: string,
    files: ReadonlyMap<string, string>,
  ): Promise<ShardedSafetensors> {
    const opened = new Map<string, SafetensorsFile>();
    try {
      for (const file of new Set(files.values())) {
        opened.set(file, await openFile(storage, joinPath(directoryOf(path), file)));
      }
      checkIndex(storage.describe(path), files, opened);
      return new ShardedSafetensors(
        new Map([...files].map(([name, file]) => [name, opened.get(file) as SafetensorsFile])),
      );
    } catch (error) {
      for (const shard of opened.values()) await shard.close();
      throw error;
    }
  }

  names(): readonly string[] {
    return [...this.#shards.keys()];
  }

  has(name: string): boolean {
    return this.#shards.has(name);
  }

  async describe(name: string): Promise<ForeignTensor> {
    return await this.#shard(name).describe(name);
  }

  async read(name: string, options: ExchangeReadOptions = {}): Promise<HostTensor> {
    return await this.#shard(name).read(name, options);
  }

  async close(): Promise<void> {
    for (const shard of new Set(this.#shards.values())) await shard.close();
  }

  #shard(name: string): SafetensorsFile {
    const shard = this.#shards.get(name);
    if (shard === undefined) throw noSuchTensor(name, this.#shards.size);
    return shard;
  }
}

/** Index and files have to agree both ways: a tensor that the index forgot would be lost silently. */
function checkIndex(
  path: string,
  files: ReadonlyMap<string, string>,
  opened: ReadonlyMap<string, SafetensorsFile>,
): void {
  for (const [name, file] of files) {
    if (!opened.get(file)?.has(name)) {
      throw disagree(path, `it says that ${quoted(name)} is in ${quoted(file)}, which has no such tensor`);
    }
  }
  for (const [file, shard] of opened) {
    for (const name of shard.names()) {
      const listed = files.get(name);
      if (listed === file) continue;
      throw disagree(
        path,
        `${quoted(file)} has a tensor ${quoted(name)}, which it ${
          listed === undefined ? "does not list" : `lists in ${quoted(listed)}`
        }`,
      );
    }
  }
}

function disagree(path: string, problem: string): CairnError {
  return new CairnError("invalid_file", `Cannot open "${path}": ${problem}`, { details: { path } });
}

async function openFile(storage: Storage, path: string): Promise<SafetensorsFile> {
  return await withSource(storage, path, readSafetensors);
}
