import { checkedMultiply } from "../../base/checked.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import { viewOf } from "../../base/little_endian.ts";
import type { ByteSource } from "../../container/source.ts";
import { elementCount, type Shape } from "../../tensor/shape.ts";
import { DTYPE_OF_CODE, parseDescr } from "./numpy_dtype.ts";
import { quoted } from "../tensor_file.ts";

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const MAX_HEADER_BYTES = 65_536;
const ALIGNMENT = 64;
/** Where the elements of a file start at the latest. */
export const MAX_NPY_START_BYTES: number = 12 + MAX_HEADER_BYTES;

/** What a `.npy` file says in front of its elements. */
export interface NpyHeader {
  /** NumPy's own words, such as `"<f4"`; of a record the text of its fields. */
  readonly descr: string;
  /** Absent where Cairn has no such dtype. */
  readonly dtype?: DType | undefined;
  readonly isBigEndian: boolean;
  /** Whether the first dimension is the innermost. */
  readonly isFortranOrder: boolean;
  readonly shape: Shape;
  /** Where the elements start. */
  readonly dataOffset: number;
}

/**
 * Reads the header of a `.npy` file of version 1.0, 2.0 or 3.0. It is the text of a Python dictionary, of which no more
 * is understood than NumPy writes there.
 *
 * @throws CairnError `truncated`, `limit_exceeded`, `unsupported` or `invalid_file`.
 */
export async function readNpyHeader(source: ByteSource): Promise<NpyHeader> {
  const head = new Uint8Array(Math.min(12, source.byteLength));
  await source.read(0, head);
  if (head.byteLength < 10) {
    throw refusal("truncated", `it has ${head.byteLength} bytes, expected 10 or more`);
  }
  if (MAGIC.some((byte, i) => head[i] !== byte)) {
    throw refusal("invalid_file", "it does not begin with \\x93NUMPY");
  }
  const [major = 0, minor = 0] = head.subarray(6);
  if (major < 1 || major > 3 || minor !== 0) {
    throw refusal("unsupported", `its version is ${major}.${minor}, expected 1.0, 2.0 or 3.0`);
  }
  const start = major === 1 ? 10 : 12;
  if (head.byteLength < start) throw refusal("truncated", "it ends inside its first line");
  const headerBytes = major === 1 ? viewOf(head).getUint16(8, true) : viewOf(head).getUint32(8, true);
  if (headerBytes > MAX_HEADER_BYTES) {
    throw refusal("limit_exceeded", `its header has ${headerBytes} bytes; ${MAX_HEADER_BYTES} is the most`);
  }
  if (headerBytes > source.byteLength - start) {
    throw refusal("truncated", `its header has ${headerBytes} bytes, and the file ends before`);
  }
  const text = new Uint8Array(headerBytes);
  await source.read(start, text);
  // Only the names of fields need more than ASCII.
  const decoder = new TextDecoder(major === 3 ? "utf-8" : "latin1");
  return { ...parseHeader(decoder.decode(text)), dataOffset: start + headerBytes };
}

/** The bytes of the elements that a header promises; of a dtype that Cairn does not have, all those that are there. */
export function npyDataBytes({ shape, dtype, dataOffset }: NpyHeader, fileBytes: number): number {
  try {
    const count = elementCount(shape);
    return dtype === undefined ? fileBytes - dataOffset : checkedMultiply(count, byteSizeOf(dtype));
  } catch (cause) {
    throw new CairnError("invalid_file", `This is no npy file: it has too many elements: [${shape}]`, {
      cause,
    });
  }
}

/** The header of version 1.0 for row-major elements, padded so that they start at a multiple of 64. */
export function encodeNpyHeader(dtype: DType, shape: Shape): Uint8Array {
  const code = Object.entries(DTYPE_OF_CODE).find(([, candidate]) => candidate === dtype)?.[0];
  if (code === undefined) throw new TypeError(`NumPy has no dtype ${dtype}; cast the tensor to f32 first`);
  const descr = `${code.endsWith("1") ? "|" : "<"}${code}`;
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const byteLength = Math.ceil((10 + text.length + 1) / ALIGNMENT) * ALIGNMENT;
  const bytes = new Uint8Array(byteLength).fill(0x20);
  bytes.set([...MAGIC, 1, 0]);
  viewOf(bytes).setUint16(8, byteLength - 10, true);
  bytes.set(new TextEncoder().encode(text), 10);
  bytes[byteLength - 1] = 0x0a;
  return bytes;
}

function parseHeader(text: string): Omit<NpyHeader, "dataOffset"> {
  const fields = new HeaderText(text).dictionary();
  const descr = fields.get("descr");
  const order = fields.get("fortran_order");
  const shape = fields.get("shape");
  if (fields.size !== 3 || typeof descr !== "string" || typeof order !== "boolean" || !Array.isArray(shape)) {
    throw refusal("invalid_file", "its header has to have descr, fortran_order and shape, and nothing else");
  }
  return { descr, ...parseDescr(descr), isFortranOrder: order, shape };
}

/** Where Python allows space between the parts of a value. */
const SPACE = "[ \\t\\r\\n\\f]*";
const PATTERNS = {
  space: new RegExp(SPACE, "y"),
  word: new RegExp(`${SPACE}(True|False)\\b`, "y"),
  // Python 2 wrote an L behind a long integer.
  integer: new RegExp(`${SPACE}(\\d+)L?`, "y"),
  single: new RegExp(`${SPACE}[uU]?'([^'"\\\\\\n]*)'`, "y"),
  double: new RegExp(`${SPACE}[uU]?"([^'"\\\\\\n]*)"`, "y"),
};

/** Reads the text of a header: a dictionary of texts, truth values and tuples of integers. */
class HeaderText {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  dictionary(): Map<string, string | boolean | number[]> {
    const fields = new Map<string, string | boolean | number[]>();
    this.#expect("{");
    while (!this.#has("}")) {
      const key = this.#string();
      if (key === undefined || fields.has(key)) throw this.#invalid();
      this.#expect(":");
      fields.set(key, key === "descr" ? this.#string() ?? this.#structure() : this.#value());
      if (!this.#has(",")) {
        this.#expect("}");
        break;
      }
    }
    this.#take(PATTERNS.space);
    if (this.#at !== this.#text.length) throw this.#invalid();
    return fields;
  }

  #value(): string | boolean | number[] {
    const text = this.#string();
    if (text !== undefined) return text;
    const word = this.#take(PATTERNS.word);
    if (word !== undefined) return word === "True";
    return this.#tuple();
  }

  /** The text of a list or tuple that describes a record or an array for an element. */
  #structure(): string {
    this.#take(PATTERNS.space);
    const start = this.#at;
    for (let depth = 0; this.#at < this.#text.length;) {
      if (this.#string() !== undefined) continue;
      const mark = this.#text[this.#at++] ?? "";
      if ("[({".includes(mark)) depth++;
      else if ("])}".includes(mark)) depth--;
      if (depth <= 0) break;
    }
    const text = this.#text.slice(start, this.#at);
    if (/^\[.*\]$|^\(.*\)$/s.test(text)) return text;
    this.#at = start;
    throw this.#invalid();
  }

  #tuple(): number[] {
    const sizes: number[] = [];
    this.#expect("(");
    while (!this.#has(")")) {
      const size = Number(this.#take(PATTERNS.integer) ?? NaN);
      if (!Number.isSafeInteger(size)) throw this.#invalid();
      sizes.push(size);
      if (this.#has(",")) continue;
      // Python takes (3) for a number.
      if (sizes.length === 1) throw this.#invalid();
      this.#expect(")");
      break;
    }
    return sizes;
  }

  #string(): string | undefined {
    return this.#take(PATTERNS.single) ?? this.#take(PATTERNS.double);
  }

  #expect(mark: string): void {
    if (!this.#has(mark)) throw this.#invalid();
  }

  #has(mark: string): boolean {
    this.#take(PATTERNS.space);
    if (this.#text[this.#at] !== mark) return false;
    this.#at++;
    return true;
  }

  /** What the pattern's first group matches here, if it matches. */
  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at = pattern.lastIndex;
    return match[1] ?? match[0];
  }

  #invalid(): CairnError {
    const found = quoted(this.#text.slice(this.#at, this.#at + 20));
    return refusal("invalid_file", `its header is not understood at character ${this.#at}: ${found}`);
  }
}

function refusal(code: CairnErrorCode, problem: string): CairnError {
  return new CairnError(code, `This is no npy file that Cairn can read: ${problem}`);
}
