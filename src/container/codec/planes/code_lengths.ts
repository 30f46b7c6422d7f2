/**
 * The lengths of the best prefix code with no length above `maxBits`, for symbols that occur this often; 0
 * for those that do not. At least two symbols have to occur, and at most `2 ** maxBits`. By package-merge
 * (L. Larmore and D. Hirschberg, "A fast algorithm for optimal length-limited Huffman codes", 1990). Ties are
 * broken by symbol, so that every machine makes the same code.
 */
export function codeLengths(counts: Uint32Array, maxBits: number): Uint8Array {
  const leaves = sortedLeaves(counts);
  const levels = packages(leaves, maxBits);
  const lengths = new Uint8Array(counts.length);
  // From the last level back: what is taken there says how many packages, and so how many pairs of the level
  // before. Each time that a leaf is taken, its code is one bit longer.
  let taken = 2 * leaves.length - 2;
  for (let level = maxBits - 1; level >= 0; level--) {
    const isLeaf = levels[level] as Uint8Array;
    let leafCount = 0;
    for (let i = 0; i < taken; i++) leafCount += isLeaf[i] as number;
    for (let i = 0; i < leafCount; i++) {
      const symbol = (leaves[i] as number) % 256;
      lengths[symbol] = (lengths[symbol] as number) + 1;
    }
    taken = 2 * (taken - leafCount);
  }
  return lengths;
}

/** Each symbol that occurs as its count times 256 plus itself, which sorts as plain numbers. */
function sortedLeaves(counts: Uint32Array): Float64Array {
  const leaves = new Float64Array(counts.length);
  let length = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    const count = counts[symbol] as number;
    if (count > 0) leaves[length++] = count * 256 + symbol;
  }
  return leaves.subarray(0, length).sort();
}

/** Level by level: the leaves and the pairs of the level before by weight, and which of them are leaves. */
function packages(leaves: Float64Array, maxBits: number): Uint8Array[] {
  // Behind the last leaf stands one that is never taken.
  const leafWeights = new Float64Array(leaves.length + 1).fill(Infinity);
  for (let i = 0; i < leaves.length; i++) leafWeights[i] = Math.floor((leaves[i] as number) / 256);
  const levels: Uint8Array[] = [];
  let before = new Float64Array(0);
  for (let level = 0; level < maxBits; level++) {
    const pairs = before.length >>> 1;
    const weights = new Float64Array(leaves.length + pairs);
    const isLeaf = new Uint8Array(weights.length);
    let to = 0;
    let leaf = 0;
    for (let pair = 0; pair < pairs; pair++) {
      const pairWeight = (before[2 * pair] as number) + (before[2 * pair + 1] as number);
      for (; (leafWeights[leaf] as number) <= pairWeight; leaf++, to++) {
        weights[to] = leafWeights[leaf] as number;
        isLeaf[to] = 1;
      }
      weights[to++] = pairWeight;
    }
    for (; to < weights.length; leaf++, to++) {
      weights[to] = leafWeights[leaf] as number;
      isLeaf[to] = 1;
    }
    levels.push(isLeaf);
    before = weights;
  }
  return levels;
}
