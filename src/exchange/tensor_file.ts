import type { OptionNames } from "../base/options/options.ts";
import type { DType } from "../base/dtype.ts";
import type { HostTensor } from "../tensor/host_tensor.ts";
import type { Shape } from "../tensor/shape.ts";
import { CairnError } from "../base/errors.ts";

/** Options of reading from a file of another format. */
export interface ExchangeReadOptions {
  /** Stops reading, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The most bytes that a tensor may have, which a file of a few bytes can ask for. Default
   * {@link DEFAULT_MAX_BYTES}, 8 GiB.
   */
  readonly maxBytes?: number | undefined;
}

/** The default of {@link ExchangeReadOptions.maxBytes}. */
export const DEFAULT_MAX_BYTES: number = 8 * 1024 ** 3;
/** Every option of {@link ExchangeReadOptions}. */
export const EXCHANGE_READ_OPTIONS: OptionNames<ExchangeReadOptions> = { signal: true, maxBytes: true };

/** What a file of another format says about one of its tensors. */
export interface ForeignTensor {
  /** As the file has it. */
  readonly name: string;
  /** Absent where Cairn has no such dtype; such a tensor can be listed and not read. */
  readonly dtype?: DType | undefined;
  /** The dtype in the format's own words, such as `"F8_E4M3"`, `">f4"` or `"ComplexFloatStorage"`. */
  readonly storedAs: string;
  /** Sizes of the dimensions, outermost first. */
  readonly shape: Shape;
  /** Of its elements, without gaps. */
  readonly byteLength: number;
  /** Name of the tensor whose elements these are as well, where the format can say so. */
  readonly aliasOf?: string | undefined;
}

/** A file of another format, open: its tensors are listed, and read one by one when asked for. Close it when done. */
export interface TensorFile {
  /** In the order of the file. */
  names(): readonly string[];
  /** Whether there is a tensor of this name. */
  has(name: string): boolean;
  /** What the file says about a tensor; `CairnError("not_found")` where there is none of this name. */
  describe(name: string): Promise<ForeignTensor>;
  /**
   * One tensor, row-major and little-endian whatever the file has, in memory of its own.
   * @throws CairnError `not_found`; `unsupported` for a dtype or rank that Cairn does not have; `invalid_file`.
   */
  read(name: string, options?: ExchangeReadOptions): Promise<HostTensor>;
  /** Closes the source. Closing twice is fine; reading afterwards throws `CairnError("closed")`. */
  close(): Promise<void>;
}

/** For a name that the file does not have. */
export function noSuchTensor(name: string, count: number): CairnError {
  const message = `There is no tensor ${quoted(name)} among the ${count} in the file; names() lists them`;
  return new CairnError("not_found", message, { details: { tensor: name } });
}

/** For what would take more memory than the caller allows. */
export function tooLarge(what: string, byteLength: number, maxBytes: number): CairnError {
  return new CairnError(
    "limit_exceeded",
    `Cannot read ${what}: it has ${byteLength} bytes, and maxBytes is ${maxBytes}; raise maxBytes if that is right`,
    { details: { limit: maxBytes, value: byteLength } },
  );
}

/** A name from a foreign file as it may stand in a message: quoted, and cut where it is long. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}
