import { crc32 } from "../../base/crc32/crc32.ts";
import type { Description } from "../../base/description.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { kindOf } from "../../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { formatShape } from "../../tensor/shape.ts";
import type { Batch } from "../batch_source.ts";
import { batchArray } from "../example.ts";
import type { ExampleMap } from "../example_map.ts";
import { isStoredRows, type StoredRows } from "./stored_rows.ts";

/** Tokens of a text, as numbers that an embedding takes. */
export type TokenArray = Uint8Array | Uint16Array | Uint32Array | Int32Array;

/** A window of tokens, and for each of them the one that follows. */
export interface TokenWindow {
  /** `[length]` tokens. */
  readonly inputs: TokenArray;
  /** `[length]`: the same, one further. */
  readonly labels: TokenArray;
}

/** Options of {@link tokenWindows}. */
export interface TokenWindowsOptions {
  /** Tokens in a window, at least 1. */
  readonly length: number;
  /** Tokens from the beginning of one window to that of the next, at least 1. Default: `length`, without overlap. */
  readonly stride?: number | undefined;
}

/** Every option of {@link TokenWindowsOptions}. */
export const TOKEN_WINDOWS_OPTIONS: OptionNames<TokenWindowsOptions> = { length: true, stride: true };

/**
 * Windows over a stream of tokens, for a `MapLoader` of a language model: each token is to be predicted from those
 * before it. Tokens at the end that fill no window are left out. Nothing is copied but what is asked for, and tokens
 * of a file are read when they are needed. Tokens of 16 bits become u32, which models take.
 *
 * @param tokens In memory, or the rows `[tokens]` of a file.
 * @throws RangeError when there is not one whole window; TypeError for what are no tokens.
 */
export function tokenWindows(
  tokens: TokenArray | StoredRows,
  options: TokenWindowsOptions,
): ExampleMap<TokenWindow> {
  const { length, stride = length } = checkOptions(
    "tokenWindows()",
    options,
    TOKEN_WINDOWS_OPTIONS,
    "{ length: 128 }",
  );
  requireWhole("length", length);
  requireWhole("stride", stride);
  const source = sourceOf(tokens);
  const count = Math.floor((source.length - 1 - length) / stride) + 1;
  if (count < 1) {
    throw new RangeError(
      `${source.length} tokens have no window of ${length} and the token behind it; give more of them, or shorter windows`,
    );
  }
  const spec = { dtype: source.dtype === "u16" ? "u32" : source.dtype, shape: [length] } as const;
  const get = async (index: number): Promise<TokenWindow> => {
    const read = await source.read(index * stride, length + 1);
    return { inputs: read.subarray(0, length), labels: read.subarray(1) };
  };
  return {
    length: count,
    inputs: spec,
    labels: spec,
    get,
    async getBatch(indices): Promise<Batch> {
      const windows = await Promise.all(indices.map(get));
      const part = (what: "inputs" | "labels"): ArrayBufferView => {
        const bytes = new Uint8Array(windows.length * length * byteSizeOf(spec.dtype));
        const array = batchArray(bytes, spec, windows.length) as TokenArray;
        windows.forEach((window, row) => array.set(window[what], row * length));
        return array;
      };
      return { inputs: part("inputs"), labels: part("labels") };
    },
    async describe(): Promise<Description> {
      return { name: "tokenWindows", length, stride, tokens: await source.describe() };
    },
  };
}

/** Tokens, wherever they are. */
interface TokenSource {
  readonly length: number;
  readonly dtype: DType;
  read(first: number, count: number): TokenArray | Promise<TokenArray>;
  describe(): Description | Promise<Description>;
}

const DTYPES = new Map<string, DType>([
  ["Uint8Array", "u8"],
  ["Uint16Array", "u16"],
  ["Uint32Array", "u32"],
  ["Int32Array", "i32"],
]);

function sourceOf(tokens: TokenArray | StoredRows): TokenSource {
  if (ArrayBuffer.isView(tokens)) {
    const dtype = DTYPES.get(tokens.constructor.name);
    if (dtype === undefined) throw noTokens(kindOf(tokens));
    return {
      length: tokens.length,
      dtype,
      read: (first, count) => widened(tokens.subarray(first, first + count)),
      describe: () => ({ name: "tokens", checksum: crc32(bytesOf(tokens)) }),
    };
  }
  if (typeof tokens !== "object" || tokens === null || !isStoredRows(tokens)) throw noTokens(kindOf(tokens));
  const { dtype, shape } = tokens.row;
  if (shape.length > 0 || ![...DTYPES.values()].includes(dtype)) {
    throw noTokens(`rows of ${dtype} ${formatShape(shape)}`);
  }
  return {
    length: tokens.length,
    dtype,
    async read(first, count) {
      return widened(batchArray(await tokens.read(first, count), tokens.row, count) as TokenArray);
    },
    describe: () => tokens.describe(),
  };
}

/** Models take no u16. */
function widened(tokens: TokenArray): TokenArray {
  return tokens instanceof Uint16Array ? Uint32Array.from(tokens) : tokens;
}

function bytesOf({ buffer, byteOffset, byteLength }: TokenArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function noTokens(found: string): TypeError {
  return new TypeError(
    `tokenWindows() takes a Uint8Array, Uint16Array, Uint32Array or Int32Array, or rows [tokens] of a file, found ${found}`,
  );
}

function requireWhole(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return;
  throw new RangeError(`${name} of tokenWindows() is an integer from 1, found ${value}`);
}
