import { expect, test } from "bun:test";
import { byteSizeOf, type DType } from "../../../src/base/dtype.ts";
import { negate } from "../../../src/exchange/torch/negate.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";

function negated(values: readonly (number | bigint)[], dtype: DType): (number | bigint)[] {
  const tensor = HostTensor.from(values as number[], [values.length], dtype);
  const bytes = tensor.bytes.slice();
  negate(bytes, dtype, byteSizeOf(dtype));
  return [...HostTensor.fromBytes(bytes, dtype, [values.length]).toArray()];
}

test("a float has the other sign, zeros and infinities too, whatever its width", () => {
  for (const dtype of ["f16", "bf16", "f32", "f64"] as const) {
    const found = negated([0, -0, 1.5, -2, Infinity, NaN], dtype);
    expect(found).toEqual([-0, 0, -1.5, 2, -Infinity, NaN]);
  }
});

test("an integer has the other sign, and the smallest stays what it is, as in PyTorch", () => {
  expect(negated([0, 1, -1, 127, -128], "i8")).toEqual([0, -1, 1, -127, -128]);
  expect(negated([0, 256, -256, -32768], "i16")).toEqual([0, -256, 256, -32768]);
  expect(negated([0, 65536, -(2 ** 31)], "i32")).toEqual([0, -65536, -(2 ** 31)]);
  expect(negated([0n, 2n ** 40n, -(2n ** 63n)], "i64")).toEqual([0n, -(2n ** 40n), -(2n ** 63n)]);
  expect(negated([0, 1, 255], "u8")).toEqual([0, 255, 1]);
});
