import { checkOptions } from "../../base/options/options.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { CairnError } from "../../base/errors.ts";
import { allocate } from "../../base/allocate.ts";
import { MAX_RANK } from "../../container/format/layout.ts";
import type { ByteSource } from "../../container/source.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { explainKind } from "../explain_kind.ts";
import {
  readSafetensorsHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from "./safetensors_header.ts";
import {
  DEFAULT_MAX_BYTES,
  EXCHANGE_READ_OPTIONS,
  type ExchangeReadOptions,
  type ForeignTensor,
  noSuchTensor,
  quoted,
  type TensorFile,
  tooLarge,
} from "../tensor_file.ts";

const PIECE_BYTES = 1024 * 1024;

/**
 * Opens a safetensors file: its header is read and checked, its tensors are not touched. The file owns the source from
 * then on; when opening fails, the caller still does.
 *
 * @throws CairnError `truncated`, `limit_exceeded` or `invalid_file`.
 */
export async function readSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const header = await explainKind(
    source,
    "safetensors file",
    "safetensors",
    () => readSafetensorsHeader(source),
  );
  return new SafetensorsFile(source, header);
}

/** A safetensors file, open. The format has no checksums: what is read is what the file has, damaged or not. */
export class SafetensorsFile implements TensorFile {
  /** Text that the writer put beside the tensors. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly #source: ByteSource;
  readonly #entries: ReadonlyMap<string, SafetensorsEntry>;
  #isClosed = false;

  /** Use {@link readSafetensors}. */
  constructor(source: ByteSource, header: SafetensorsHeader) {
    this.metadata = header.metadata;
    this.#source = source;
    this.#entries = new Map(header.entries.map((entry) => [entry.name, entry]));
  }

  names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /**
   * Tensors that were left out because another one has their bytes: name → the one that was kept. The format has no
   * place for this but the metadata, where writers note it as `dropped → kept`; so it is every such pair there.
   */
  aliases(): ReadonlyMap<string, string> {
    return new Map([...this.metadata].filter(([name, kept]) => !this.has(name) && this.has(kept)));
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  describe(name: string): Promise<ForeignTensor> {
    return new Promise((resolve) => {
      const { dtype: { name: storedAs, dtype }, shape, byteLength } = this.#entry(name);
      resolve({ name, dtype, storedAs, shape, byteLength });
    });
  }

  async read(name: string, options: ExchangeReadOptions = {}): Promise<HostTensor> {
    checkOptions("read()", options, EXCHANGE_READ_OPTIONS, "{ signal }");
    const { dtype: { name: storedAs, dtype }, shape } = this.#entry(name);
    if (dtype === undefined || shape.length > MAX_RANK) {
      const what = dtype === undefined ? `the dtype ${storedAs}` : `${shape.length} dimensions`;
      const message = `Cannot read tensor ${
        quoted(name)
      }: Cairn has no tensors of ${what}; readBytes() gives its bytes`;
      throw new CairnError("unsupported", message, { details: { tensor: name } });
    }
    return HostTensor.fromBytes(await this.readBytes(name, options), dtype, shape);
  }

  /** The bytes of one tensor of any dtype, as they are. */
  async readBytes(name: string, options: ExchangeReadOptions = {}): Promise<Uint8Array> {
    checkOptions("readBytes()", options, EXCHANGE_READ_OPTIONS, "{ signal }");
    this.#assertOpen();
    throwIfAborted(options.signal);
    const { offset, byteLength } = this.#entry(name);
    const { maxBytes = DEFAULT_MAX_BYTES } = options;
    if (byteLength > maxBytes) throw tooLarge(`tensor ${quoted(name)}`, byteLength, maxBytes);
    const bytes = allocate(byteLength);
    await this.#source.read(offset, bytes);
    return bytes;
  }

  /**
   * The bytes of one tensor in pieces of up to 1 MiB, so that a tensor need not fit in memory. Each piece is the
   * caller's.
   */
  async *pieces(name: string, options: ExchangeReadOptions = {}): AsyncGenerator<Uint8Array> {
    checkOptions("pieces()", options, EXCHANGE_READ_OPTIONS, "{ signal }");
    const { offset, byteLength } = this.#entry(name);
    for (let at = 0; at < byteLength; at += PIECE_BYTES) {
      this.#assertOpen();
      throwIfAborted(options.signal);
      const piece = allocate(Math.min(PIECE_BYTES, byteLength - at));
      await this.#source.read(offset + at, piece);
      yield piece;
    }
  }

  /** Gives back the source. Closing twice is fine; reading afterwards throws `CairnError("closed")`. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#source.close?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #entry(name: string): SafetensorsEntry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw noSuchTensor(name, this.#entries.size);
    return entry;
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new CairnError("closed", "This SafetensorsFile is closed");
  }
}
