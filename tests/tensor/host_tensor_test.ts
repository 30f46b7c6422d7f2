import { describe, expect, test } from "bun:test";
import { byteSizeOf, type DType, DTYPES } from "../../src/base/dtype.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import type { HostValues } from "../../src/tensor/host_values.ts";

describe("HostTensor.from", () => {
  const rows: [ArrayBufferView & ArrayLike<number | bigint>, DType][] = [
    [new Float32Array([1, 2]), "f32"],
    [new Float64Array([1, 2]), "f64"],
    [new Int8Array([1, 2]), "i8"],
    [new Int16Array([1, 2]), "i16"],
    [new Int32Array([1, 2]), "i32"],
    [new Uint8Array([1, 2]), "u8"],
    [new Uint8ClampedArray([1, 2]), "u8"],
    [new Uint16Array([1, 2]), "u16"],
    [new Uint32Array([1, 2]), "u32"],
    [new BigInt64Array([1n, 2n]), "i64"],
    [new BigUint64Array([1n, 2n]), "u64"],
  ];
  for (const [array, dtype] of rows) {
    test(`takes the dtype ${dtype} from a ${array.constructor.name}`, () => {
      const tensor = HostTensor.from(array as Float32Array);
      expect([tensor.dtype, tensor.shape, tensor.bytes.byteLength]).toEqual([
        dtype,
        [2],
        2 * byteSizeOf(dtype),
      ]);
      expect([...tensor.toArray()].map(Number)).toEqual([1, 2]);
    });
  }

  test("takes f32 for numbers, bool for booleans and i64 for bigints", () => {
    expect(HostTensor.from([1.5, 2]).dtype).toBe("f32");
    expect(HostTensor.from([true, false]).dtype).toBe("bool");
    expect([...HostTensor.from([true, false]).toArray()]).toEqual([1, 0]);
    expect(HostTensor.from([5n]).dtype).toBe("i64");
    expect(HostTensor.from([]).dtype).toBe("f32");
  });

  test("takes the shape from the nesting", () => {
    const tensor = HostTensor.from([[[1, 2, 3]], [[4, 5, 6]]]);
    expect(tensor.shape).toEqual([2, 1, 3]);
    expect([...tensor.toArray()]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(HostTensor.from([new Float32Array([1, 2]), new Float32Array([3, 4])]).shape).toEqual([2, 2]);
    expect(HostTensor.from(7).shape).toEqual([]);
    expect(HostTensor.from([[], []]).shape).toEqual([2, 0]);
  });

  test("copies: changing the values later changes nothing", () => {
    const values = new Float32Array([1, 2]);
    const tensor = HostTensor.from(values);
    values[0] = 9;
    expect([...tensor.toArray()]).toEqual([1, 2]);
  });

  test("keeps the bits of a typed array of its own dtype, NaN payloads included", () => {
    const bits = Uint32Array.of(0x7fc12345, 0x7f800001, 0xffffffff, 0x80000000, 1);
    const tensor = HostTensor.from(new Float32Array(bits.buffer));
    expect([...new Uint32Array(tensor.bytes.buffer)]).toEqual([...bits]);
  });

  test("takes one typed array as another shape or dtype", () => {
    const tensor = HostTensor.from(new Float64Array([1, 2, 3, 4]), [2, 2], "u8");
    expect([tensor.dtype, tensor.shape, [...tensor.bytes]]).toEqual(["u8", [2, 2], [1, 2, 3, 4]]);
    expect([...HostTensor.from([1.5, -2], [2], "f16").toArray()]).toEqual([1.5, -2]);
    expect([...HostTensor.from(new Int32Array([1, -2]), [2], "bf16").toArray()]).toEqual([1, -2]);
    expect([...HostTensor.from([1, 2], [2], "i64").toArray()]).toEqual([1n, 2n]);
    expect([...HostTensor.from(new BigInt64Array([1n, 2n]), [2], "f32").toArray()]).toEqual([1, 2]);
  });

  test("refuses values that do not fill the shape", () => {
    expect(() => HostTensor.from([1, 2, 3], [2, 2])).toThrow(
      new TypeError("A tensor of shape [2, 2] has 4 elements, but 3 were given"),
    );
    expect(() => HostTensor.from([[1, 2], [3]])).toThrow(
      new TypeError(
        "values[1] is an array of 1 value, expected an array of 2 values as in values[0]; a tensor has rows of one length",
      ),
    );
  });

  const ragged: [HostValues, string][] = [
    [[[1, 2], 3], "values[1] is a single value, expected an array of 2 values as in values[0]"],
    [[1, [2, 3]], "values[1] is an array of 2 values, expected a single value as in values[0]"],
    [[[[1], [2]], [[3], [4, 5]]], "values[1][1] is an array of 2 values, expected an array of 1 value"],
    [[[[1], [2]], [[3]]], "values[1] is an array of shape [1, 1], expected an array of shape [2, 1]"],
    [[[1], new Float32Array(2)], "values[1] is an array of 2 values, expected an array of 1 value"],
  ];
  for (const [values, message] of ragged) {
    test(`names the place of what has another shape: ${message}`, () => {
      expect(() => HostTensor.from(values)).toThrow(message);
    });
  }

  test("takes the bytes of a Buffer as elements of the dtype, and asks for that", () => {
    const floats = Float32Array.of(1, 2, 3, 4, 5, 6);
    const buffer = Buffer.from(floats.buffer);
    expect(() => HostTensor.from(buffer)).toThrow(
      'What was given for the values is a Buffer, whose bytes may be of any dtype; say which, as in HostTensor.from(buffer, shape, "f32")',
    );
    const tensor = HostTensor.from(buffer, [2, 3], "f32");
    expect([tensor.shape, tensor.toArray()]).toEqual([[2, 3], floats]);
    expect(HostTensor.from(buffer, undefined, "f32").shape).toEqual([6]);
    buffer.fill(0);
    expect(tensor.toArray()).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
    expect(() => HostTensor.from(Buffer.alloc(5), undefined, "f32")).toThrow("has 8 bytes, but 5 were given");
  });

  const outside: [number | bigint, DType][] = [
    [256, "u8"],
    [-1, "u8"],
    [1.5, "u8"],
    [NaN, "i32"],
    [2, "bool"],
    [128, "i8"],
    [-32_769, "i16"],
    [65_536, "u16"],
    [2 ** 31, "i32"],
    [2 ** 32, "u32"],
    [2 ** 53, "i64"],
    [1.5, "u64"],
    [-1n, "u64"],
    [2n ** 63n, "i64"],
    [2n ** 64n, "u64"],
  ];
  for (const [value, dtype] of outside) {
    test(`refuses ${value} as ${dtype}, because it would come back as another value`, () => {
      expect(() => HostTensor.from([value], [1], dtype)).toThrow(RangeError);
    });
  }

  const extremes: [number | bigint, DType][] = [
    [255, "u8"],
    [-128, "i8"],
    [-32_768, "i16"],
    [65_535, "u16"],
    [-(2 ** 31), "i32"],
    [2 ** 32 - 1, "u32"],
    [-(2n ** 63n), "i64"],
    [2n ** 64n - 1n, "u64"],
  ];
  for (const [value, dtype] of extremes) {
    test(`holds ${value} as ${dtype}`, () => {
      expect(HostTensor.from([value], [1], dtype).toArray()[0]).toBe(value);
    });
  }
});

describe("HostTensor.fromBytes", () => {
  test("keeps the bytes it was given, also where they are not aligned to the element", () => {
    const bytes = new Uint8Array([9, 0, 0, 128, 63, 0, 0, 0, 64]).subarray(1);
    const tensor = HostTensor.fromBytes(bytes, "f32", [2]);
    expect(tensor.bytes).toBe(bytes);
    expect([...tensor.toArray()]).toEqual([1, 2]);
  });

  test("gives every dtype back as its array", () => {
    for (const dtype of Object.keys(DTYPES) as DType[]) {
      const tensor = HostTensor.fromBytes(new Uint8Array(3 * byteSizeOf(dtype)), dtype, [3]);
      expect([dtype, [...tensor.toArray()].map(Number)]).toEqual([dtype, [0, 0, 0]]);
    }
  });

  test("refuses a length that does not fit", () => {
    expect(() => HostTensor.fromBytes(new Uint8Array(15), "f32", [2, 2])).toThrow(
      new TypeError("A f32 tensor of shape [2, 2] has 16 bytes, but 15 were given"),
    );
  });
});

describe("HostTensor", () => {
  test("equals compares dtype, shape and bits", () => {
    const tensor = HostTensor.from([0, NaN]);
    expect(tensor.equals(HostTensor.from([0, NaN]))).toBe(true);
    expect(tensor.equals(HostTensor.from([-0, NaN]))).toBe(false);
    expect(tensor.equals(HostTensor.from([[0, NaN]]))).toBe(false);
    expect(HostTensor.from([1], [1], "i32").equals(HostTensor.from([1], [1], "u32"))).toBe(false);
    const payload = HostTensor.fromBytes(new Uint8Array([0, 0, 0, 0, 1, 0, 192, 127]), "f32", [2]);
    expect(tensor.equals(payload)).toBe(false);
  });

  test("item is the value of a tensor with one element", () => {
    expect(HostTensor.from([2.5]).item()).toBe(2.5);
    expect(HostTensor.from(7n).item()).toBe(7);
    expect(() => HostTensor.from([1, 2]).item()).toThrow(
      new TypeError("item() needs a tensor with one element; this one has the shape [2]"),
    );
    expect(() => HostTensor.from([]).item()).toThrow(TypeError);
  });

  test("elementCount counts the elements", () => {
    expect([HostTensor.from(1).elementCount, HostTensor.from([[1, 2], [3, 4]]).elementCount]).toEqual([1, 4]);
  });
});
