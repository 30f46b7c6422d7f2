/** Philox 4x32-10 of Salmon and others (2011), with products as bigints. */
export function philoxTwin(counter: readonly number[], key: readonly number[]): number[] {
  let [a = 0, b = 0, c = 0, d = 0] = counter;
  let [low = 0, high = 0] = key;
  for (let round = 0; round < 10; round++) {
    const first = BigInt(a) * 0xd2511f53n;
    const second = BigInt(c) * 0xcd9e8d57n;
    [a, b, c, d] = [
      (highWord(second) ^ b ^ low) >>> 0,
      lowWord(second),
      (highWord(first) ^ d ^ high) >>> 0,
      lowWord(first),
    ];
    low = (low + 0x9e3779b9) >>> 0;
    high = (high + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

function highWord(product: bigint): number {
  return Number(product >> 32n);
}

function lowWord(product: bigint): number {
  return Number(product & 0xffff_ffffn);
}

/** Which numbers a random fill takes. */
export interface Draw {
  readonly seed: number;
  readonly step: number;
  readonly stream: number;
}

/** The first `count` words that a random fill draws. */
export function bitsTwin(count: number, { seed, step, stream }: Draw): Uint32Array {
  const key = [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
  const blocks = Array.from(
    { length: Math.ceil(count / 4) },
    (_, block) => philoxTwin([block, step, stream, 0], key),
  );
  return Uint32Array.from(blocks.flat()).subarray(0, count);
}

/** Uniform numbers in [0, 1) with 24 bits. */
export function uniformTwin(count: number, draw: Draw): Float64Array {
  return Float64Array.from(bitsTwin(count, draw), (word) => (word >>> 8) / 2 ** 24);
}

/** Normal numbers by Box and Muller, two from two. */
export function normalTwin(count: number, draw: Draw): Float64Array {
  const words = bitsTwin(count + 4, draw);
  return Float64Array.from({ length: count }, (_, index) => {
    const pair = index - index % 2;
    const radius = Math.sqrt(-2 * Math.log(((words[pair] ?? 0) >>> 8) / 2 ** 24 + 2 ** -24));
    const angle = (((words[pair + 1] ?? 0) >>> 8) / 2 ** 24 - 0.5) * 2 * Math.PI;
    return radius * (index === pair ? Math.cos(angle) : Math.sin(angle));
  });
}
