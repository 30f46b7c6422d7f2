import type { Example, ExampleMap } from "@cairn-ml/cairn/data";
import type { LabelledDigits } from "../digits/digits.ts";

const PIXELS = 28 * 28;
/** Which digit of two is larger, as a class. */
const [LEFT, RIGHT, NEITHER] = [0, 1, 2];

/** `length` pairs of the digits, each of the first with some other: the same ones each time. */
export function pairsOf({ inputs, labels }: LabelledDigits, length: number): ExampleMap<Example> {
  const pixels = inputs.toArray() as Float32Array;
  const digits = labels.toArray() as Uint32Array;
  const imageAt = (row: number): Float32Array => pixels.subarray(row * PIXELS, (row + 1) * PIXELS);
  return {
    length,
    get(index) {
      const round = Math.floor(index / digits.length);
      const rows = [index % digits.length, (index * 7919 + round * 104_729 + 1) % digits.length];
      const [left = 0, right = 0] = rows;
      const [a = 0, b = 0] = rows.map((row) => digits[row]);
      return {
        inputs: { left: imageAt(left), right: imageAt(right) },
        labels: {
          larger: Uint8Array.of(a > b ? LEFT : b > a ? RIGHT : NEITHER),
          sum: Float32Array.of(a + b),
        },
      };
    },
    labels: { larger: { dtype: "u8", shape: [] }, sum: { dtype: "f32", shape: [1] } },
    describe: () => ({ name: "pairs", digits: digits.length }),
  };
}
