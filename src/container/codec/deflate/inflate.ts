import { CairnError } from "../../../base/errors.ts";
import { BitReader } from "./bit_reader.ts";
import { type HuffmanCode, makeHuffmanCode } from "./huffman.ts";

const END_OF_BLOCK = 256;
const LENGTH_BASE = [
  3,
  4,
  5,
  6,
  7,
  8,
  9,
  10,
  11,
  13,
  15,
  17,
  19,
  23,
  27,
  31,
  35,
  43,
  51,
  59,
  67,
  83,
  99,
  115,
  131,
  163,
  195,
  227,
  258,
];
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
/** A stored block has no more. */
const LONGEST_COPY_BYTES = 65_535;
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const MAX_DISTANCE_SYMBOL = 29;

/**
 * Decodes a zlib stream (RFC 1950 and 1951) that holds exactly `rawLength` bytes and nothing behind it: the
 * twin of `node:zlib` for runtimes without it. It is our own because the portable libraries neither check the
 * Adler-32 sum nor tell where a stream ended, so that junk behind it would pass. Allocates `rawLength` bytes,
 * once. Throws `CairnError("invalid_container")`.
 */
export function inflateStrictly(stream: Uint8Array, rawLength: number): Uint8Array {
  const header = stream.byteLength < 2 ? 0 : ((stream[0] as number) << 8) | (stream[1] as number);
  const isZlib = (header & 0x0f00) === 0x0800 && header >>> 12 <= 7 && (header & 0x20) === 0 &&
    header % 31 === 0;
  if (!isZlib) throw invalid("it does not begin as one");
  const output = new Output(rawLength);
  const bits = new BitReader(stream, 2);
  while (!inflateBlock(bits, output));
  const sum = bits.alignedBytes(4).reduce((value, byte) => value * 256 + byte, 0);
  if (bits.remaining !== 0) throw invalid(`${bits.remaining} bytes follow its end`);
  if (output.length !== rawLength) throw invalid(`it holds ${output.length} bytes, expected ${rawLength}`);
  if (sum !== adler32(output.bytes)) throw invalid("its Adler-32 sum does not match");
  return output.bytes;
}

/**
 * The same for a bare DEFLATE stream (RFC 1951), as in zip files: it has no sum of its own. Throws
 * `CairnError("invalid_container")` unless it holds exactly `rawLength` bytes and nothing follows it.
 */
export function inflateRawStrictly(stream: Uint8Array, rawLength: number): Uint8Array {
  const output = new Output(rawLength);
  const bits = new BitReader(stream, 0);
  while (!inflateBlock(bits, output));
  bits.alignedBytes(0);
  if (bits.remaining !== 0) throw invalid(`${bits.remaining} bytes follow its end`);
  if (output.length !== rawLength) throw invalid(`it holds ${output.length} bytes, expected ${rawLength}`);
  return output.bytes;
}

/**
 * The first bytes of a bare DEFLATE stream, which may be cut off or damaged further on: `byteLength` of them, or more
 * by less than a block; fewer only where nothing more can be decoded.
 */
export function inflateRawStart(stream: Uint8Array, byteLength: number): Uint8Array {
  const output = new Output(byteLength + LONGEST_COPY_BYTES);
  const bits = new BitReader(stream, 0);
  try {
    while (!inflateBlock(bits, output, byteLength) && output.length < byteLength);
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
  }
  return output.bytes.subarray(0, output.length);
}

/** What was decoded so far: never more than `capacity` bytes. */
class Output {
  readonly bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Makes sure that `count` more bytes fit. */
  reserve(count: number): void {
    if (count > this.bytes.length - this.length) {
      throw invalid(`it holds more than ${this.bytes.length} bytes`);
    }
  }
}

/** Decodes one block, or as much of it as makes `enough` bytes; true after the last one. */
function inflateBlock(bits: BitReader, output: Output, enough: number = Infinity): boolean {
  const isLast = bits.take(1) === 1;
  const type = bits.take(2);
  if (type === 0) inflateStored(bits, output);
  else if (type === 1) inflateCoded(bits, output, fixedCodes(), enough);
  else if (type === 2) inflateCoded(bits, output, readCodes(bits), enough);
  else throw invalid("a block has the type 3");
  return isLast;
}

function inflateStored(bits: BitReader, output: Output): void {
  const [a = 0, b = 0, c = 0, d = 0] = bits.alignedBytes(4);
  const length = a | (b << 8);
  if (length !== (~(c | (d << 8)) & 0xffff)) {
    throw invalid("a stored block's length does not match its complement");
  }
  output.reserve(length);
  output.bytes.set(bits.alignedBytes(length), output.length);
  output.length += length;
}

interface BlockCodes {
  readonly literals: HuffmanCode;
  readonly distances: HuffmanCode;
}

function inflateCoded(
  bits: BitReader,
  output: Output,
  { literals, distances }: BlockCodes,
  enough: number,
): void {
  while (output.length < enough) {
    const symbol = bits.symbol(literals);
    if (symbol === END_OF_BLOCK) return;
    if (symbol < END_OF_BLOCK) {
      output.reserve(1);
      output.bytes[output.length++] = symbol;
      continue;
    }
    const lengthIndex = symbol - END_OF_BLOCK - 1;
    const base = LENGTH_BASE[lengthIndex];
    if (base === undefined) throw invalid(`a match has the length symbol ${symbol}`);
    const length = base + bits.take(LENGTH_EXTRA[lengthIndex] as number);
    copyMatch(output, length, readDistance(bits, distances));
  }
}

function readDistance(bits: BitReader, distances: HuffmanCode): number {
  const symbol = bits.symbol(distances);
  if (symbol > MAX_DISTANCE_SYMBOL) throw invalid(`a match has the distance symbol ${symbol}`);
  if (symbol < 4) return symbol + 1;
  // Symbols come in pairs, each pair with one more extra bit: 4 and 5 have one, 6 and 7 two, and so on.
  const extra = (symbol >>> 1) - 1;
  return ((2 | (symbol & 1)) << extra) + 1 + bits.take(extra);
}

function copyMatch(output: Output, length: number, distance: number): void {
  if (distance > output.length) {
    throw invalid(`a match reaches ${distance} bytes back, of ${output.length} there are`);
  }
  output.reserve(length);
  const { bytes } = output;
  // Byte by byte, because a match may overlap what it makes.
  for (let to = output.length, end = to + length; to < end; to++) bytes[to] = bytes[to - distance] as number;
  output.length += length;
}

let fixed: BlockCodes | undefined;

function fixedCodes(): BlockCodes {
  if (fixed === undefined) {
    const lengths = new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280);
    fixed = { literals: makeHuffmanCode(lengths), distances: makeHuffmanCode(new Uint8Array(32).fill(5)) };
  }
  return fixed;
}

/** Reads the two codes at the start of a dynamic block (RFC 1951, 3.2.7). */
function readCodes(bits: BitReader): BlockCodes {
  const literalCount = bits.take(5) + 257;
  const distanceCount = bits.take(5) + 1;
  const codeLengthCount = bits.take(4) + 4;
  if (literalCount > 286 || distanceCount > 30) throw invalid("a block has too many symbols");
  const codeLengths = new Uint8Array(19);
  for (let i = 0; i < codeLengthCount; i++) codeLengths[CODE_LENGTH_ORDER[i] as number] = bits.take(3);
  const lengths = readLengths(bits, makeHuffmanCode(codeLengths, "complete"), literalCount + distanceCount);
  if (lengths[END_OF_BLOCK] === 0) throw invalid("a block has no end symbol");
  return {
    literals: makeHuffmanCode(lengths.subarray(0, literalCount)),
    distances: makeHuffmanCode(lengths.subarray(literalCount)),
  };
}

function readLengths(bits: BitReader, code: HuffmanCode, count: number): Uint8Array {
  const lengths = new Uint8Array(count);
  let at = 0;
  while (at < count) {
    const symbol = bits.symbol(code);
    if (symbol < 16) {
      lengths[at++] = symbol;
      continue;
    }
    if (symbol === 16 && at === 0) throw invalid("a block repeats a code length before the first");
    const repeated = symbol === 16 ? lengths[at - 1] as number : 0;
    const times = symbol === 16 ? 3 + bits.take(2) : symbol === 17 ? 3 + bits.take(3) : 11 + bits.take(7);
    if (times > count - at) throw invalid("a block has more code lengths than symbols");
    lengths.fill(repeated, at, at + times);
    at += times;
  }
  return lengths;
}

/** The sum at the end of a zlib stream (RFC 1950). */
function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (let at = 0; at < bytes.length;) {
    // 3800 bytes are the most before the sums could leave 31 bits.
    for (const end = Math.min(at + 3800, bytes.length); at < end; at++) {
      a += bytes[at] as number;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return b * 65536 + a;
}

function invalid(problem: string): CairnError {
  return new CairnError("invalid_container", `A zlib stream is damaged: ${problem}`);
}
