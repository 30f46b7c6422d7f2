import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import { CairnError } from "../../base/errors.ts";
import { type ByteSink, type ByteSource, BytesSink } from "../../container/source.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import { explainKind } from "../explain_kind.ts";
import { checkNpy, decodeNpy, npyByteLength, writeNpyTensor } from "./npy.ts";
import { MAX_NPY_START_BYTES, npyDataBytes, type NpyHeader, readNpyHeader } from "./npy_header.ts";
import { checkedTensors, type TensorsToWrite } from "../outgoing.ts";
import {
  DEFAULT_MAX_BYTES,
  EXCHANGE_READ_OPTIONS,
  type ExchangeReadOptions,
  type ForeignTensor,
  noSuchTensor,
  quoted,
  type TensorFile,
} from "../tensor_file.ts";
import { deflateRaw } from "../zip/zip_deflate.ts";
import type { ZipEntry } from "../zip/zip_directory.ts";
import { ZipReader } from "../zip/zip_reader.ts";
import { ZipWriter } from "../zip/zip_writer.ts";

const EXTENSION = ".npy";

/**
 * Opens a `.npz` file: its directory is read and checked, its arrays are not touched. The file owns the source from
 * then on; when opening fails, the caller still does.
 *
 * @throws CairnError `truncated`, `invalid_file`, `unsupported` or `limit_exceeded`.
 */
export async function readNpz(source: ByteSource): Promise<NpzFile> {
  const zip = await explainKind(source, "npz file", "zip", () => ZipReader.open(source));
  refusePyTorch(zip);
  return new NpzFile(zip);
}

/** A `.npz` file, open: a zip file with one `.npy` file for each array. */
export class NpzFile implements TensorFile {
  /** Names of entries that are no arrays. */
  readonly otherEntries: readonly string[];
  readonly #zip: ZipReader;
  readonly #entries: ReadonlyMap<string, ZipEntry>;
  #isClosed = false;

  /** Use {@link readNpz}. */
  constructor(zip: ZipReader) {
    this.#zip = zip;
    const names = [...zip.entries.keys()];
    this.otherEntries = names.filter((name) => !name.endsWith(EXTENSION));
    this.#entries = new Map(
      [...zip.entries.values()].filter(({ name }) => name.endsWith(EXTENSION))
        .map((entry) => [entry.name.slice(0, -EXTENSION.length), entry]),
    );
  }

  names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Reads the array's header only. */
  async describe(name: string): Promise<ForeignTensor> {
    const entry = this.#entry(name);
    const header = await about(name, async () => await this.#header(entry));
    const { descr, dtype, shape } = header;
    return {
      name,
      dtype,
      storedAs: descr,
      shape,
      byteLength: npyDataBytes(header, entry.rawLength),
    };
  }

  async read(name: string, options: ExchangeReadOptions = {}): Promise<HostTensor> {
    checkOptions("read()", options, EXCHANGE_READ_OPTIONS, "{ signal }");
    const entry = this.#entry(name);
    throwIfAborted(options.signal);
    return await about(name, async () => {
      const header = await this.#checkedHeader(entry, options.maxBytes ?? DEFAULT_MAX_BYTES);
      return decodeNpy(await this.#zip.read(entry, entry.rawLength), header);
    });
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

  /** The directory may promise any length: what is inflated is what the array's own header declares, and no more. */
  async #checkedHeader(entry: ZipEntry, maxBytes: number): Promise<NpyHeader> {
    try {
      const header = await this.#header(entry);
      checkNpy(header, entry.rawLength, maxBytes);
      return header;
    } catch (error) {
      // Bytes that lie there as they are cost no more than the file does: damage is called so before anything else is.
      if (entry.method === 0 && entry.rawLength <= maxBytes) await this.#zip.read(entry);
      throw error;
    }
  }

  async #header(entry: ZipEntry): Promise<NpyHeader> {
    return await readNpyHeader(await this.#zip.source(entry, MAX_NPY_START_BYTES));
  }

  #entry(name: string): ZipEntry {
    if (this.#isClosed) throw new CairnError("closed", "This NpzFile is closed");
    const entry = this.#entries.get(name);
    if (entry === undefined) throw noSuchTensor(name, this.#entries.size);
    return entry;
  }
}

/** Options of {@link writeNpz}. */
export interface NpzOptions {
  /** Deflate the arrays, as NumPy's `savez_compressed` does; each is then in memory as a whole. Default false. */
  readonly compress?: boolean | undefined;
  /** Stops writing, which then rejects with the signal's reason. What the sink got by then is no file. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link NpzOptions}. */
export const NPZ_OPTIONS: OptionNames<NpzOptions> = { compress: true, signal: true };

/** What {@link writeNpz} wrote. */
export interface NpzReport {
  /** Bytes of the whole file. */
  readonly fileBytes: number;
  /** How many arrays are in it. */
  readonly tensors: number;
  /** Tensors that were bf16 and are float32 in the file, since NumPy has no bf16. */
  readonly widened: readonly string[];
}

/**
 * Writes a `.npz` file that NumPy's `load` reads, front to back. The same tensors give the same bytes, unless they are
 * compressed. Tensors that share their bytes are written once for each name.
 *
 * @throws TypeError or RangeError for tensors that do not fit; `signal.reason`; what the sink throws.
 */
export async function writeNpz(
  sink: ByteSink,
  tensors: TensorsToWrite,
  options: NpzOptions = {},
): Promise<NpzReport> {
  checkOptions("writeNpz()", options, NPZ_OPTIONS);
  const checked = checkedTensors(tensors);
  const pieces = new Map(checked.map((tensor) => [tensor.name, () => tensor.pieces()]));
  const zip = new ZipWriter(sink);
  for (const { aliasOf, ...tensor } of checked) {
    throwIfAborted(options.signal);
    const whole = { ...tensor, pieces: pieces.get(aliasOf ?? tensor.name) ?? tensor.pieces };
    const write = async (into: ByteSink): Promise<void> => await writeNpyTensor(into, whole, options.signal);
    if (options.compress ?? false) await storeDeflated(zip, tensor.name, write);
    else await zip.store(tensor.name + EXTENSION, npyByteLength(whole), write);
  }
  await zip.finish();
  const widened = checked.filter(({ dtype }) => dtype === "bf16").map(({ name }) => name);
  return { fileBytes: zip.byteLength, tensors: checked.length, widened };
}

async function storeDeflated(
  zip: ZipWriter,
  name: string,
  write: (sink: ByteSink) => Promise<void>,
): Promise<void> {
  const raw = new BytesSink();
  await write(raw);
  const bytes = raw.toBytes();
  await zip.storeDeflated(name + EXTENSION, deflateRaw(bytes), {
    checksum: crc32(bytes),
    rawLength: bytes.byteLength,
  });
}

/** It has no arrays, and would look like a file without any. */
function refusePyTorch({ entries }: ZipReader): void {
  const names = [...entries.keys()];
  if (
    names.some((name) => name.endsWith(EXTENSION)) || !names.some((name) => /^[^/]+\/data\.pkl$/.test(name))
  ) return;
  throw new CairnError(
    "invalid_file",
    "This is no npz file: it is a checkpoint of PyTorch; open it with readTorch",
  );
}

/** Lets an error say which array it is about. */
async function about<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    throw new CairnError(error.code, `Cannot read array ${quoted(name)}: ${error.message}`, {
      details: { ...error.details, tensor: name },
      cause: error,
    });
  }
}
