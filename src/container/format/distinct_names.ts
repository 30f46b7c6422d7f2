/**
 * Whether no two of the names in `bytes` are equal: `lengths` says how many bytes each takes, one after the other. By
 * a hash table over the bytes, which takes a quarter of the time of a `Set` of ten thousand strings.
 */
export function areDistinct(bytes: Uint8Array, lengths: Uint16Array): boolean {
  const count = lengths.length;
  // At most half full.
  const mask = 2 ** Math.ceil(Math.log2(2 * count + 2)) - 1;
  const slots = new Int32Array(mask + 1).fill(-1);
  const starts = new Uint32Array(count);
  const hashes = new Uint32Array(count);
  let probesLeft = MAX_PROBES_PER_NAME * count;
  for (let index = 0, start = 0; index < count; index++) {
    const length = lengths[index] as number;
    const hash = hashOf(bytes, start, start + length);
    starts[index] = start;
    hashes[index] = hash;
    let slot = (hash ^ (hash >>> 15)) & mask;
    for (let other = slots[slot] as number; other >= 0; other = slots[slot] as number) {
      const isAlike = hashes[other] === hash && lengths[other] === length;
      if (isAlike && areEqual(bytes, starts[other] as number, start, length)) return false;
      if (--probesLeft < 0) return areDistinctStrings(bytes, lengths);
      slot = (slot + 1) & mask;
    }
    slots[slot] = index;
    start += length;
  }
  return true;
}

// Names that were made to collide would take time with their number squared. A Set's own hashes are seeded by chance.
const MAX_PROBES_PER_NAME = 16;

/** FNV-1a. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  return hash >>> 0;
}

function areEqual(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let at = 0; at < length; at++) if (bytes[a + at] !== bytes[b + at]) return false;
  return true;
}

function areDistinctStrings(bytes: Uint8Array, lengths: Uint16Array): boolean {
  const seen = new Set<string>();
  let at = 0;
  // Every byte as a character: all that counts is which of them are equal.
  for (const length of lengths) {
    let name = "";
    for (const end = at + length; at < end; at++) name += String.fromCharCode(bytes[at] as number);
    seen.add(name);
  }
  return seen.size === lengths.length;
}
