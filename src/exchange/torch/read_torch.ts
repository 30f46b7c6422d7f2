import { CairnError } from "../../base/errors.ts";
import type { ByteSource } from "../../container/source.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import { NumpyArray } from "./numpy_arrays.ts";
import { NumpyDType } from "./numpy_scalars.ts";
import { explainKind } from "../explain_kind.ts";
import { isTuple, runPickle } from "./pickle_machine.ts";
import { PickleDict, PickleObject, type PickleValue } from "./pickle_values.ts";
import {
  type ExchangeReadOptions,
  type ForeignTensor,
  noSuchTensor,
  quoted,
  type TensorFile,
} from "../tensor_file.ts";
import { TorchType } from "./torch_dtypes.ts";
import { torchGlobal } from "./torch_globals.ts";
import { plainState, tensorsByPath, type TorchState } from "./torch_state.ts";
import { TorchStorage, TorchTensor } from "./torch_tensor.ts";
import type { UnreadableTensor } from "../unreadable_tensor.ts";
import type { ZipEntry } from "../zip/zip_directory.ts";
import { ZipReader } from "../zip/zip_reader.ts";

const PICKLE_NAME = "data.pkl";
const MAX_PICKLE_BYTES = 64 * 1024 * 1024;

/**
 * Opens a checkpoint that `torch.save` wrote (PyTorch 1.6 and newer, a zip file): its state is read, its tensors are
 * not touched. No pickle is ever executed: the instructions are followed by a machine that can build plain values and
 * tensors and nothing else. The file owns the source from then on; when opening fails, the caller still does.
 *
 * @throws CairnError `unsupported` where there is no plain data at all, with the name that the pickle asked for;
 * `truncated`, `invalid_file`, `limit_exceeded` or `checksum_mismatch`.
 */
export async function readTorch(source: ByteSource): Promise<TorchFile> {
  const zip = await explainKind(source, "PyTorch checkpoint", "zip", () => ZipReader.open(source));
  const prefix = prefixOf(zip);
  const pickle = zip.entries.get(prefix + PICKLE_NAME) as ZipEntry;
  if (pickle.rawLength > MAX_PICKLE_BYTES) {
    throw new CairnError(
      "limit_exceeded",
      `The pickle has ${pickle.rawLength} bytes; ${MAX_PICKLE_BYTES} is the most`,
      {
        details: { limit: MAX_PICKLE_BYTES, value: pickle.rawLength },
      },
    );
  }
  await refuseBigEndian(zip, prefix);
  const storages = new Storages(zip, prefix);
  const value = runPickle(await zip.read(pickle), {
    global: torchGlobal,
    persistent: (id) => storages.get(id),
    build,
  });
  return new TorchFile(zip, plainState(value));
}

/** A PyTorch checkpoint, open. */
export class TorchFile implements TensorFile {
  /** All that was saved, tensors in their places. */
  readonly state: TorchState;
  readonly #zip: ZipReader;
  #byPath: ReadonlyMap<string, TorchTensor | UnreadableTensor> | undefined;
  #byView: ReadonlyMap<string, string> | undefined;
  #isClosed = false;

  /** Use {@link readTorch}. */
  constructor(zip: ZipReader, state: TorchState) {
    this.#zip = zip;
    this.state = state;
  }

  /** Paths of all tensors in the state, keys joined by dots. */
  names(): readonly string[] {
    return [...this.#tensors().keys()];
  }

  has(name: string): boolean {
    return this.#tensors().has(name);
  }

  /** What is known of a tensor; `aliasOf` is the first name of the same view of the same storage. */
  describe(name: string): Promise<ForeignTensor> {
    return new Promise((resolve) => {
      const tensor = this.#tensor(name);
      if (!(tensor instanceof TorchTensor)) {
        const { storedAs, shape } = tensor;
        return resolve({ name, storedAs, shape, byteLength: 0 });
      }
      const { type, shape, byteLength } = tensor;
      const first = this.#firstNames().get(tensor.viewKey) ?? name;
      resolve({
        name,
        dtype: type.dtype,
        storedAs: type.name,
        shape,
        byteLength,
        aliasOf: first === name ? undefined : first,
      });
    });
  }

  async read(name: string, options: ExchangeReadOptions = {}): Promise<HostTensor> {
    if (this.#isClosed) throw new CairnError("closed", "This TorchFile is closed");
    return await this.#tensor(name).read(options);
  }

  /** Gives back the source. Closing twice is fine; reading afterwards throws `CairnError("closed")`. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#zip.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #tensor(name: string): TorchTensor | UnreadableTensor {
    const tensor = this.#tensors().get(name);
    if (tensor === undefined) throw noSuchTensor(name, this.#tensors().size);
    return tensor;
  }

  #tensors(): ReadonlyMap<string, TorchTensor | UnreadableTensor> {
    return this.#byPath ??= tensorsByPath(this.state);
  }

  /** The first name of each view. */
  #firstNames(): ReadonlyMap<string, string> {
    return this.#byView ??= new Map(
      [...this.#tensors()].reverse().flatMap(([name, tensor]): [string, string][] =>
        tensor instanceof TorchTensor ? [[tensor.viewKey, name]] : []
      ),
    );
  }
}

/** The storages of a checkpoint by their key. The one that was read last is kept, since tensors share storages. */
class Storages {
  readonly #zip: ZipReader;
  readonly #prefix: string;
  readonly #byTypeAndKey = new Map<string, TorchStorage>();
  #recent: { readonly key: string; readonly bytes: Uint8Array } | undefined;

  constructor(zip: ZipReader, prefix: string) {
    this.#zip = zip;
    this.#prefix = prefix;
  }

  /**
   * What `("storage", class, key, location, length)` stands for. Where it was, its elements are read into memory
   * here.
   */
  get(id: PickleValue): TorchStorage {
    const [kind, storageClass, key, location, length, ...more] = isTuple(id) ? id : [];
    const fits = kind === "storage" && storageClass instanceof TorchType && storageClass.isStorage &&
      typeof key === "string" && typeof location === "string" && typeof length === "number";
    if (!fits) {
      const what = storageClass instanceof PickleObject ? `: ${quoted(storageClass.name)}` : "";
      throw new CairnError("invalid_file", `The pickle refers to something that is no storage${what}`);
    }
    if (more.length > 0) {
      throw new CairnError("unsupported", `Storage ${quoted(key)} is a view of another one; save it anew`);
    }
    // Two tensors may name one storage by two types, and each is then read by its own.
    const typed = `${storageClass.type.name} ${key}`;
    const before = this.#byTypeAndKey.get(typed);
    const byteLength = length * storageClass.type.byteSize;
    if (before?.byteLength === byteLength) return before;
    const entry = this.#zip.entries.get(`${this.#prefix}data/${key}`);
    if (entry?.rawLength !== byteLength) {
      throw new CairnError(
        "invalid_file",
        `Storage ${quoted(key)} has ${entry?.rawLength ?? "no"} bytes in the file, expected ${byteLength}`,
      );
    }
    const storage = new TorchStorage({
      key,
      byteLength,
      type: storageClass.type,
      load: () => this.#load(key, entry),
    });
    this.#byTypeAndKey.set(typed, storage);
    return storage;
  }

  async #load(key: string, entry: ZipEntry): Promise<Uint8Array> {
    if (this.#recent?.key !== key) {
      this.#recent = { key, bytes: await this.#zip.read(entry, entry.rawLength) };
    }
    return this.#recent.bytes;
  }
}

/** Objects that a checkpoint's own kinds of values may be told afterwards. */
function build(target: PickleValue, state: PickleValue): boolean {
  if (target instanceof NumpyDType || target instanceof NumpyArray) return target.setState(state);
  // A module's state dict carries version numbers of its layers as an attribute, which plain data has no place for.
  return target instanceof PickleDict && (state instanceof PickleDict || isTuple(state));
}

/** What the names of all entries begin with: the name the file had when it was saved. */
function prefixOf(zip: ZipReader): string {
  const [pickle, ...more] = [...zip.entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickle === undefined || more.length > 0) {
    const other = otherZip([...zip.entries.keys()]);
    if (other !== undefined) {
      throw new CairnError("invalid_file", `This is no PyTorch checkpoint: it is ${other}`);
    }
    throw new CairnError(
      "invalid_file",
      `This is no PyTorch checkpoint: it has ${
        more.length + (pickle === undefined ? 0 : 1)
      } files data.pkl, expected one`,
    );
  }
  const prefix = pickle.slice(0, -PICKLE_NAME.length);
  if (zip.entries.has(`${prefix}constants.pkl`)) {
    throw new CairnError(
      "unsupported",
      "This is a TorchScript program and no checkpoint; save model.state_dict() instead",
    );
  }
  return prefix;
}

/** What else a zip file of a model may be. */
function otherZip(names: readonly string[]): string | undefined {
  if (names.length > 0 && names.every((name) => name.endsWith(".npy"))) {
    return "an npz file; open it with readNpz";
  }
  if (names.includes("model.weights.h5")) {
    return "a model of Keras; save its weights as safetensors or npz";
  }
  const inside = names.find((name) => /\.(pth?|bin|ckpt|safetensors|npz)$/.test(name));
  return inside === undefined ? undefined : `an archive with ${quoted(inside)} in it; unpack it first`;
}

async function refuseBigEndian(zip: ZipReader, prefix: string): Promise<void> {
  const entry = zip.entries.get(`${prefix}byteorder`);
  if (entry === undefined) return;
  const order = entry.rawLength > 16 ? "unknown" : new TextDecoder().decode(await zip.read(entry));
  if (order !== "little") {
    throw new CairnError("unsupported", `The checkpoint's byte order is ${quoted(order)}, expected "little"`);
  }
}
