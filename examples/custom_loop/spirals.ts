import type { Batch } from "@cairn-ml/cairn";

/** Turns of a spiral. */
const TURNS = 1.5;
const NOISE = 0.02;

/** `count` points near two spirals that wind around each other, and of which spiral each is: drawn anew for each key. */
export function spirals(count: number, key: number): Batch {
  const random = numbersOf(key);
  const inputs = new Float32Array(2 * count);
  const labels = new Uint32Array(count);
  for (let row = 0; row < count; row++) {
    const spiral = row % 2;
    const along = Math.sqrt(random());
    const angle = Math.PI * (2 * TURNS * along + spiral);
    inputs[2 * row] = along * Math.cos(angle) + NOISE * (2 * random() - 1);
    inputs[2 * row + 1] = along * Math.sin(angle) + NOISE * (2 * random() - 1);
    labels[row] = spiral;
  }
  return { inputs, labels };
}

/** Numbers from [0, 1) that are a pure function of `key`, so that a loop that goes on draws what it would have drawn. */
function numbersOf(key: number): () => number {
  let state = Math.imul(key + 1, 0x9e3779b1) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
