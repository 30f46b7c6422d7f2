import { type Dataset, HostTensor } from "@cairn-ml/cairn";

/** Hours of a day. */
export const DAY = 24;
const WEEK = 7 * DAY;
/** The deviation of what no forecast of the next hour can know. */
export const NOISE = 0.3;

/**
 * A series of hourly values, such as the load of a network: a day and a week that repeat, a slow trend, and noise that
 * lasts for some hours. The same one on every machine but for its last bits.
 */
export function hourly(count: number): Float32Array {
  const random = generator(7);
  let lasting = 0;
  return Float32Array.from({ length: count }, (_, hour) => {
    lasting = 0.7 * lasting + NOISE * normal(random);
    const day = 2 * Math.sin(2 * Math.PI * hour / DAY) + 0.6 * Math.sin(4 * Math.PI * hour / DAY + 1);
    const week = 0.8 * Math.sin(2 * Math.PI * hour / WEEK);
    return day + week + 0.5 * Math.sin(hour / 900) + lasting;
  });
}

/** Each `length` hours in a row, and as their label the hour that follows. */
export function windows(series: Float32Array, length: number): Dataset {
  const count = series.length - length;
  const inputs = new Float32Array(count * length);
  for (let first = 0; first < count; first++) {
    inputs.set(series.subarray(first, first + length), first * length);
  }
  return {
    inputs: HostTensor.from(inputs, [count, length, 1]),
    labels: HostTensor.from(series.slice(length), [count, 1]),
  };
}

/** The root of the mean squared error of a forecast that says: as `lag` hours before. */
export function naiveError(series: Float32Array, length: number, lag: number): number {
  let sum = 0;
  for (let hour = length; hour < series.length; hour++) {
    sum += ((series[hour] ?? NaN) - (series[hour - lag] ?? NaN)) ** 2;
  }
  return Math.sqrt(sum / (series.length - length));
}

/** Numbers from 0 to 1, by a linear congruential generator. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

/** By the method of Box and Muller. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
}
