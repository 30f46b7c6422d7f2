import { DataLoader, HostTensor } from "@cairn-ml/cairn";

/** Groups of points, evenly on a circle. */
export const GROUPS = 8;
const RADIUS = 2;
/** How far the points of a group are spread, as a standard deviation. */
const SPREAD = 0.1;

/** `count` points, as many of each group as of the others, and of which group each is. */
export function ringPoints(count: number): { inputs: HostTensor; labels: HostTensor } {
  const random = numbers(1);
  const inputs = new Float32Array(2 * count);
  for (let row = 0; row < count; row++) {
    const [x, y] = centreOf(row % GROUPS);
    const away = SPREAD * Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    inputs.set([x + away * Math.cos(angle), y + away * Math.sin(angle)], 2 * row);
  }
  const labels = Uint32Array.from({ length: count }, (_, row) => row % GROUPS);
  return { inputs: HostTensor.from(inputs, [count, 2]), labels: HostTensor.from(labels, [count]) };
}

export function ringData(batchSize: number): DataLoader<HostTensor, HostTensor> {
  return DataLoader.from(ringPoints(4096), { batchSize, shuffle: true, seed: 3 });
}

/** Which share of points is within three standard deviations of a group, and which share of those each group has. */
export function coverage(points: Float32Array): { near: number; shares: number[] } {
  const counts = new Array<number>(GROUPS).fill(0);
  for (let at = 0; at < points.length; at += 2) {
    const [x = NaN, y = NaN] = points.subarray(at, at + 2);
    for (let group = 0; group < GROUPS; group++) {
      const [a, b] = centreOf(group);
      if (Math.hypot(x - a, y - b) < 3 * SPREAD) counts[group] = (counts[group] ?? 0) + 1;
    }
  }
  const near = counts.reduce((sum, count) => sum + count, 0);
  return { near: near / (points.length / 2), shares: counts.map((count) => count / near) };
}

function centreOf(group: number): [x: number, y: number] {
  const angle = 2 * Math.PI * group / GROUPS;
  return [RADIUS * Math.cos(angle), RADIUS * Math.sin(angle)];
}

/** Numbers from [0, 1), the same on every machine. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
