import { Buffer } from "node:buffer";
import { describe, expect, test } from "bun:test";
import { alignUp } from "../../src/base/checked.ts";
import { portableKernels } from "../../src/container/codec/planes/portable_kernels.ts";
import {
  type BytePlanesOptions,
  encodeBytePlanes,
  mergePlanes,
  splitPlanes,
} from "../../src/kernels/byte_planes.ts";
import { bytesOf } from "../container/samples.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../helpers/run_dispatch.ts";

const COUNTS = [1, 2, 3, 5, 257];

/** The planes as the codec's own loops make them, in words that are filled up with zeros. */
function planesTwin(
  raw: Uint8Array,
  { count, byteSize, rotate, strideBytes }: BytePlanesOptions,
): Uint8Array {
  const kernels = portableKernels();
  kernels.reserve(4096 + raw.byteLength + byteSize * strideBytes);
  kernels.heap().fill(0).set(raw, 4096);
  const at = 4096 + raw.byteLength;
  kernels.split(4096, count, byteSize, rotate, at, strideBytes);
  return kernels.heap().slice(at, at + byteSize * strideBytes);
}

describe("byte planes kernels", () => {
  for (const byteSize of [2, 4, 8]) {
    gpuTest(`split elements of ${byteSize} bytes as the codec does, and merge them again`, async (gpu) => {
      for (const rotate of [true, false]) {
        for (const count of rotate ? COUNTS : [257]) {
          const options = { count, byteSize, rotate, strideBytes: alignUp(count, 4) + 4 };
          const raw = new Uint8Array(alignUp(count * byteSize, 4));
          raw.set(bytesOf(count * byteSize, count));
          const expected = planesTwin(raw, options);
          const planes = new Uint8Array(expected.byteLength);
          const sizes = encodeBytePlanes(options);
          const split = splitPlanes<HostArray>({ sizes, raw, planes }, options);
          const [found] = await runDispatch(gpu, split, [planes]);
          expect(Buffer.compare(found, expected)).toBe(0);
          const back = new Uint8Array(raw.byteLength);
          const merge = mergePlanes<HostArray>({ sizes, raw: back, planes: expected }, options);
          const [merged] = await runDispatch(gpu, merge, [back]);
          expect(Buffer.compare(merged, raw)).toBe(0);
        }
      }
    });
  }

  test("refuse sizes that cannot be", () => {
    const bindings = { sizes: "sizes", raw: "raw", planes: "planes" };
    const options = { count: 5, byteSize: 4, rotate: true, strideBytes: 8 };
    expect(() => encodeBytePlanes({ ...options, byteSize: 3 })).toThrow("byteSize is 3");
    expect(() => encodeBytePlanes({ ...options, strideBytes: 6 })).toThrow("strideBytes is 6");
    expect(() => encodeBytePlanes({ ...options, strideBytes: 4 })).toThrow("multiple of 4 from 5");
    expect(splitPlanes(bindings, { ...options, count: 0 }).workgroups).toEqual([0, 0, 0]);
  });
});
