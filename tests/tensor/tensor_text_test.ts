import { describe, expect, test } from "bun:test";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { shown } from "../helpers/shown.ts";

describe("console.log of a HostTensor", () => {
  test("shows dtype, shape, bytes and every element of a small one", () => {
    expect(shown(HostTensor.from([[0.1, 2], [-3, NaN]]))).toBe(
      "HostTensor f32 [2, 2], 16 bytes\n[[0.1, 2],\n [-3, NaN]]",
    );
    expect(shown(HostTensor.from([7n, -8n]))).toBe("HostTensor i64 [2], 16 bytes\n[7, -8]");
    expect(shown(HostTensor.from([true, false]))).toBe("HostTensor bool [2], 2 bytes\n[true, false]");
    expect(shown(HostTensor.from([0.1, Infinity], [2], "bf16"))).toBe(
      "HostTensor bf16 [2], 4 bytes\n[0.100097656, Infinity]",
    );
    expect(shown(HostTensor.from([5], [], "u8"))).toBe("HostTensor u8 [], 1 byte\n5");
    expect(shown(HostTensor.from([0.1], [1], "f64"))).toBe("HostTensor f64 [1], 8 bytes\n[0.1]");
  });

  test("shows a tensor without elements", () => {
    expect(shown(HostTensor.from([], [0, 3], "f32"))).toBe("HostTensor f32 [0, 3], 0 bytes");
  });

  test("shows the ends of the axes of a large one, and reads no more of it", () => {
    const large = HostTensor.from(Uint32Array.from({ length: 100_000 }, (_, index) => index), [100, 1000]);
    expect(shown(large)).toBe([
      "HostTensor u32 [100, 1000], 400,000 bytes",
      "[[0, 1, 2, …, 997, 998, 999],",
      " [1000, 1001, 1002, …, 1997, 1998, 1999],",
      " [2000, 2001, 2002, …, 2997, 2998, 2999],",
      " …,",
      " [97000, 97001, 97002, …, 97997, 97998, 97999],",
      " [98000, 98001, 98002, …, 98997, 98998, 98999],",
      " [99000, 99001, 99002, …, 99997, 99998, 99999]]",
    ].join("\n"));
    const deep = HostTensor.from(new Float32Array(8 ** 6), [8, 8, 8, 8, 8, 8]);
    expect(shown(deep).length).toBeLessThan(10_000);
  });

  test("shows one whose bytes lie anywhere in memory", () => {
    const bytes = new Uint8Array(9);
    bytes.set(HostTensor.from([1.5, -2]).bytes, 1);
    expect(shown(HostTensor.fromBytes(bytes.subarray(1), "f32", [2]))).toContain("\n[1.5, -2]");
  });
});
