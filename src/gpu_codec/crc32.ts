import { crc32Shift, shifted } from "../base/crc32/crc32_shift.ts";
import { type Dispatch, gridFor, workgroupMainWgsl } from "../gpu/dispatch.ts";

const INVOCATIONS = 256;
const ROWS = 32;
const BLOCK_WORDS = INVOCATIONS * ROWS;
const BLOCK_BYTES = 4 * BLOCK_WORDS;
/** Shifts by 1, 2, 4, ... 128 words. */
const DOUBLINGS = 8;

/** Chunks in one buffer, all of them a multiple of 4 bytes long. */
export interface Crc32Span {
  readonly byteLength: number;
  /** Bytes of each chunk but the last, which may be shorter. */
  readonly chunkBytes: number;
}

/** What the kernel reads and writes. */
export interface Crc32Bindings<B> {
  /** A uniform, {@link encodeCrc32Span}. */
  readonly span: B;
  readonly source: B;
  /** {@link crc32Tables}. */
  readonly tables: B;
  /** One word for each of {@link crc32Blocks}, for {@link crc32Sums}. */
  readonly parts: B;
}

/**
 * CRC-32 of chunks, up to the last step, which is {@link crc32Sums}. A workgroup sums a block of 32 KiB: each
 * invocation every 256th word, and then all of them in pairs. Blocks are counted from the end of their chunk, and what
 * is missing at its start is taken for zeros, which change nothing in a register of 0.
 */
export function crc32<B>(
  { span, source, tables, parts }: Crc32Bindings<B>,
  { byteLength, chunkBytes }: Crc32Span,
): Dispatch<B> {
  return {
    label: "crc32",
    code: CRC32_WGSL,
    constants: {},
    bindings: [span, source, tables, parts],
    workgroups: gridFor(crc32Blocks({ byteLength, chunkBytes })),
  };
}

/** How many blocks there are in all chunks. Throws `RangeError` for lengths that are no multiple of 4. */
export function crc32Blocks({ byteLength, chunkBytes }: Crc32Span): number {
  for (const bytes of [byteLength, chunkBytes]) {
    if (Number.isSafeInteger(bytes) && bytes > 0 && bytes % 4 === 0) continue;
    throw new RangeError(`crc32: ${bytes} bytes; expected a multiple of 4`);
  }
  const chunks = Math.ceil(byteLength / chunkBytes);
  const last = byteLength - (chunks - 1) * chunkBytes;
  return (chunks - 1) * Math.ceil(chunkBytes / BLOCK_BYTES) + Math.ceil(last / BLOCK_BYTES);
}

/** The uniform that tells the kernel about its chunks. */
export function encodeCrc32Span(span: Crc32Span): Uint32Array {
  const { byteLength, chunkBytes } = span;
  return Uint32Array.of(
    byteLength / 4,
    chunkBytes / 4,
    Math.ceil(chunkBytes / BLOCK_BYTES),
    crc32Blocks(span),
  );
}

let keptTables: Uint32Array | undefined;

/** The tables of the kernel: always the same, and not to be changed. */
export function crc32Tables(): Uint32Array {
  return keptTables ??= makeTables();
}

function makeTables(): Uint32Array {
  const tables = new Uint32Array(4 * 256 + DOUBLINGS * 32);
  const row = crc32Shift(4 * INVOCATIONS);
  for (let at = 0; at < 1024; at++) tables[at] = shifted(row, ((at & 255) << (8 * (at >>> 8))) >>> 0);
  for (let doubling = 0; doubling < DOUBLINGS; doubling++) {
    tables.set(crc32Shift(4 << doubling), 1024 + 32 * doubling);
  }
  return tables;
}

/** The CRC-32 of each chunk from the parts that the kernel left. */
export function crc32Sums(parts: Uint32Array, { byteLength, chunkBytes }: Crc32Span): number[] {
  const block = crc32Shift(BLOCK_BYTES);
  const sums: number[] = [];
  const starts = new Map<number, number>();
  let part = 0;
  for (let at = 0; at < byteLength; at += chunkBytes) {
    const length = Math.min(chunkBytes, byteLength - at);
    let register = 0;
    for (let done = 0; done < length; done += BLOCK_BYTES) {
      register = shifted(block, register) ^ (parts[part++] as number);
    }
    // A checksum begins with a register of ones rather than 0.
    const start = starts.get(length) ?? shifted(crc32Shift(length), 0xffffffff);
    starts.set(length, start);
    sums.push((register ^ start ^ 0xffffffff) >>> 0);
  }
  return sums;
}

const CRC32_WGSL = `struct Span {
  words: u32,
  chunk_words: u32,
  chunk_blocks: u32,
  blocks: u32,
}

@group(0) @binding(0) var<uniform> span: Span;
@group(0) @binding(1) var<storage, read> source: array<u32>;
// What a row of words does to each byte of a register; then shifts by 1, 2, 4, ... words, bit by bit.
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> parts: array<u32>;

var<workgroup> row_shift: array<u32, 1024>;
var<workgroup> values: array<u32, ${INVOCATIONS}>;

fn shifted_row(value: u32) -> u32 {
  return row_shift[value & 255u] ^ row_shift[256u + ((value >> 8u) & 255u)] ^
    row_shift[512u + ((value >> 16u) & 255u)] ^ row_shift[768u + (value >> 24u)];
}

fn shifted(value: u32, doubling: u32) -> u32 {
  var result = 0u;
  for (var bits = value; bits != 0u; bits &= bits - 1u) {
    result ^= tables[1024u + doubling * 32u + countTrailingZeros(bits)];
  }
  return result;
}

${workgroupMainWgsl(INVOCATIONS, "number")}
  if (number >= span.blocks) {
    return;
  }
  let start = number / span.chunk_blocks * span.chunk_words;
  let length = min(span.chunk_words, span.words - start);
  let blocks = (length + ${BLOCK_WORDS - 1}u) / ${BLOCK_WORDS}u;
  // Words of the chunk that come behind this block; and before its end.
  let behind = (blocks - 1u - number % span.chunk_blocks) * ${BLOCK_WORDS}u;
  let before = length - behind;
  for (var i = local; i < 1024u; i += ${INVOCATIONS}u) {
    row_shift[i] = tables[i];
  }
  workgroupBarrier();

  var value = 0u;
  // Where this invocation's word of the last row is, counted back from the block's end.
  let last = ${INVOCATIONS}u - local;
  for (var row = min(${ROWS}u, (before + ${INVOCATIONS - 1}u) / ${INVOCATIONS}u); row > 0u; row--) {
    let back = (row - 1u) * ${INVOCATIONS}u + last;
    value = shifted_row(value);
    if (back <= before) {
      value ^= source[start + before - back];
    }
  }
  values[local] = value;
  for (var doubling = 0u; doubling < ${DOUBLINGS}u; doubling++) {
    workgroupBarrier();
    let width = 1u << doubling;
    if (local % (2u * width) == 0u) {
      values[local] = shifted(values[local], doubling) ^ values[local + width];
    }
  }
  if (local == 0u) {
    parts[number] = shifted(values[0], 0u);
  }
}
`;
