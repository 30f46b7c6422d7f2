const REVERSED_POLYNOMIAL = 0xedb88320;

/**
 * What `byteLength` zero bytes do to the register of a CRC-32, as 32 columns: column `i` is where bit `i` ends up.
 * The register is linear over GF(2): bytes can be summed in pieces, each from a register of 0, and the pieces be
 * shifted and xor-ed. (M. Adler's `crc32_combine` in zlib does the same.)
 */
export function crc32Shift(byteLength: number): Uint32Array {
  let power = Uint32Array.from({ length: 32 }, (_, bit) => oneZeroByte((1 << bit) >>> 0));
  let result = Uint32Array.from({ length: 32 }, (_, bit) => 1 << bit);
  for (let left = byteLength; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = product(power, result);
    power = product(power, power);
  }
  return result;
}

/** A register after a {@link crc32Shift}. */
export function shifted(shift: Uint32Array, register: number): number {
  let result = 0;
  for (let bit = 0; bit < 32; bit++) {
    if ((register >>> bit) & 1) result ^= shift[bit] as number;
  }
  return result >>> 0;
}

function oneZeroByte(register: number): number {
  for (let bit = 0; bit < 8; bit++) {
    register = register & 1 ? (register >>> 1) ^ REVERSED_POLYNOMIAL : register >>> 1;
  }
  return register >>> 0;
}

/** First `inner`, then `outer`. */
function product(outer: Uint32Array, inner: Uint32Array): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(inner, (column) => shifted(outer, column));
}
