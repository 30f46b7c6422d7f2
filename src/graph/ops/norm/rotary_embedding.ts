import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { HostTensor } from "../../../tensor/host_tensor.ts";
import { formatShape, type Shape } from "../../../tensor/shape.ts";
import type { Value } from "../../value.ts";
import { add, mul } from "../arithmetic.ts";
import { concat } from "../movement/concat.ts";
import { flip } from "../movement/flip.ts";
import { slice } from "../movement/slice.ts";
import { requireDType } from "../requirements.ts";
import { constant } from "../sources.ts";
import { reshape } from "../views.ts";

/** Options of {@link rotaryEmbedding}. */
export interface RotaryEmbeddingOptions {
  /**
   * Which elements are a pair that is turned. `false`, the default: element i and element i + width / 2, as in GPT-NeoX
   * and the Llama of Hugging Face. `true`: elements 2 i and 2 i + 1, as in the paper, GPT-J and Meta's Llama.
   */
  readonly interleaved?: boolean | undefined;
  /** The pair i turns by `position * base^(-2 i / width)`. Default 10000. */
  readonly base?: number | undefined;
  /** The position of the first row. Default 0. */
  readonly offset?: number | undefined;
  /** How many of the last axis are turned, the first ones; the others stay. Default: all of them. */
  readonly width?: number | undefined;
}

/** Every option of {@link RotaryEmbeddingOptions}. */
export const ROTARY_EMBEDDING_OPTIONS: OptionNames<RotaryEmbeddingOptions> = {
  interleaved: true,
  base: true,
  offset: true,
  width: true,
};

/**
 * Rotary position embedding (Su et al. 2021) of f32 `[…, positions, width]`, such as queries and keys of attention:
 * each pair of elements is turned by an angle that grows with the position, so that the product of a query and a key
 * depends on the distance between them. Composed of other ops, which one kernel computes together; sines and cosines
 * are computed in float64 and uploaded once.
 */
export function rotaryEmbedding(value: Value, options: RotaryEmbeddingOptions = {}): Value {
  checkOptions("rotaryEmbedding()", options, ROTARY_EMBEDDING_OPTIONS, "{ interleaved: true }");
  return rotaryEmbeddingBy(value, options, ({ table, positions }) => constant(table(positions)));
}

/** Sines or cosines by which elements are multiplied, all that there are up to a number of positions. */
export interface RotaryTable {
  /** What tells tables apart. */
  readonly key: string;
  /** Positions of the value that is turned. */
  readonly positions: number;
  /** Those of the first positions, `[positions, …]`. */
  table(positions: number): HostTensor;
}

/** As {@link rotaryEmbedding}, where `rowsOf` gives the rows of a table for the positions of the value. */
export function rotaryEmbeddingBy(
  value: Value,
  options: RotaryEmbeddingOptions,
  rowsOf: (table: RotaryTable) => Value,
): Value {
  const { interleaved = false, base = 10_000, offset = 0, ...rest } = options;
  requireDType("rotaryEmbedding", value, ["f32"]);
  const { shape } = value;
  const [positions, all] = shape.slice(-2);
  if (positions === undefined || all === undefined) {
    throw new TypeError(`rotaryEmbedding: takes […, positions, width], found ${formatShape(shape)}`);
  }
  const { width = all } = rest;
  requireNumbers(width, all, base, offset);
  if (width < all) {
    const turned = slice(value, { axis: -1, end: width });
    const rotated = rotaryEmbeddingBy(turned, { interleaved, base, offset }, rowsOf);
    return concat([rotated, slice(value, { axis: -1, start: width })], { axis: -1 });
  }
  const pairs = interleaved ? [width / 2, 2] : [2, width / 2];
  const paired = reshape(value, [...shape.slice(0, -1), ...pairs]);
  const other = flip(paired, { axes: interleaved ? -1 : -2 });
  const of = (which: "cosines" | "sines"): Value =>
    rowsOf({
      key: `${which} ${width} ${base} ${offset} ${interleaved}`,
      positions,
      table(count) {
        const numbers = tablesOf(count, width, base, offset, interleaved)[which];
        return HostTensor.from(numbers, [count, ...pairs]);
      },
    });
  return reshape(add(mul(paired, of("cosines")), mul(other, of("sines"))), shape);
}

function requireNumbers(width: number, all: number, base: number, offset: number): void {
  if (!Number.isInteger(width) || width < 2 || width % 2 !== 0 || width > all) {
    throw new RangeError(`rotaryEmbedding: the width is an even number from 2 to ${all}, found ${width}`);
  }
  if (!(base > 0 && base < Infinity)) {
    throw new RangeError(`rotaryEmbedding: base is a number above 0, found ${base}`);
  }
  if (!Number.isInteger(offset) || offset < 0) {
    throw new RangeError(`rotaryEmbedding: offset is a whole number from 0 on, found ${offset}`);
  }
}

/** By what each element is multiplied, and the other one of its pair: the first of a pair loses, the second gains. */
function tablesOf(
  positions: number,
  width: number,
  base: number,
  offset: number,
  interleaved: boolean,
): { readonly cosines: Float32Array; readonly sines: Float32Array } {
  const cosines = new Float32Array(positions * width);
  const sines = new Float32Array(positions * width);
  const half = width / 2;
  for (let position = 0; position < positions; position++) {
    for (let pair = 0; pair < half; pair++) {
      const angle = (offset + position) * base ** (-2 * pair / width);
      const places: Shape = interleaved ? [2 * pair, 2 * pair + 1] : [pair, half + pair];
      places.forEach((place, second) => {
        cosines[position * width + place] = Math.cos(angle);
        sines[position * width + place] = second === 0 ? -Math.sin(angle) : Math.sin(angle);
      });
    }
  }
  return { cosines, sines };
}
