/**
 * Byte planes: the first byte of every element, then the second byte of every element, and so on. In weights
 * the plane with the exponents is the only one with less than 8 bits of information a byte, so planes are
 * what makes them compressible. (M. Burtscher and P. Ratanaworabhan, "FPC"; the "shuffle" filter of HDF5 and
 * Blosc does the same.)
 *
 * Two and four-byte elements go through typed arrays of that width, which is two to four times as fast as
 * bytes and assumes a little-endian machine. Every machine that runs a supported runtime is one.
 */

/**
 * Writes the planes of `raw` to `planes`, one after the other. Both have the same length, a multiple of
 * `byteSize`.
 */
export function splitPlanes(raw: Uint8Array, byteSize: number, planes: Uint8Array): void {
  const count = raw.byteLength / byteSize;
  if (byteSize === 4 && raw.byteOffset % 4 === 0) {
    splitWords(new Uint32Array(raw.buffer, raw.byteOffset, count), planes);
  } else if (byteSize === 2 && raw.byteOffset % 2 === 0) {
    splitHalves(new Uint16Array(raw.buffer, raw.byteOffset, count), planes);
  } else {
    splitBytes(raw, byteSize, planes);
  }
}

/**
 * The inverse of {@link splitPlanes}: interleaves the planes to elements in a new array of `rawLength` bytes.
 */
export function mergePlanes(planes: readonly Uint8Array[], rawLength: number): Uint8Array {
  const raw = new Uint8Array(rawLength);
  const [a, b, c, d] = planes;
  if (a && b && c && d && planes.length === 4) mergeWords(a, b, c, d, new Uint32Array(raw.buffer));
  else if (a && b && planes.length === 2) mergeHalves(a, b, new Uint16Array(raw.buffer));
  else mergeBytes(planes, raw);
  return raw;
}

function splitWords(words: Uint32Array, planes: Uint8Array): void {
  const count = words.length;
  for (let i = 0; i < count; i++) {
    const word = words[i] as number;
    planes[i] = word;
    planes[count + i] = word >>> 8;
    planes[2 * count + i] = word >>> 16;
    planes[3 * count + i] = word >>> 24;
  }
}

function splitHalves(halves: Uint16Array, planes: Uint8Array): void {
  const count = halves.length;
  for (let i = 0; i < count; i++) {
    const half = halves[i] as number;
    planes[i] = half;
    planes[count + i] = half >>> 8;
  }
}

function splitBytes(raw: Uint8Array, byteSize: number, planes: Uint8Array): void {
  let to = 0;
  for (let plane = 0; plane < byteSize; plane++) {
    for (let from = plane; from < raw.length; from += byteSize) planes[to++] = raw[from] as number;
  }
}

function mergeWords(a: Uint8Array, b: Uint8Array, c: Uint8Array, d: Uint8Array, words: Uint32Array): void {
  for (let i = 0; i < words.length; i++) {
    words[i] = (a[i] as number) | ((b[i] as number) << 8) | ((c[i] as number) << 16) |
      ((d[i] as number) << 24);
  }
}

function mergeHalves(a: Uint8Array, b: Uint8Array, halves: Uint16Array): void {
  for (let i = 0; i < halves.length; i++) halves[i] = (a[i] as number) | ((b[i] as number) << 8);
}

function mergeBytes(planes: readonly Uint8Array[], raw: Uint8Array): void {
  for (const [index, plane] of planes.entries()) {
    for (let from = 0, to = index; to < raw.length; to += planes.length) raw[to] = plane[from++] as number;
  }
}
