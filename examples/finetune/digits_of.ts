import { HostTensor } from "@cairn-ml/cairn";
import type { LabelledDigits } from "../digits/digits.ts";

/** The pictures of five digits, from `first` on, whose labels are then 0 to 4. */
export function fiveDigits({ inputs, labels }: LabelledDigits, first: number): LabelledDigits {
  const [, pixels = 0] = inputs.shape;
  const [rows, digits] = [inputs.toArray() as Float32Array, labels.toArray() as Uint32Array];
  const chosen = Array.from(digits.keys()).filter((row) => {
    const label = (digits[row] ?? NaN) - first;
    return label >= 0 && label < 5;
  });
  const taken = new Float32Array(chosen.length * pixels);
  for (const [place, row] of chosen.entries()) {
    taken.set(rows.subarray(row * pixels, (row + 1) * pixels), place * pixels);
  }
  return {
    inputs: HostTensor.from(taken, [chosen.length, pixels]),
    labels: HostTensor.from(Uint32Array.from(chosen, (row) => (digits[row] ?? NaN) - first), [chosen.length]),
  };
}
