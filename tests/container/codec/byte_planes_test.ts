import { expect, test } from "bun:test";
import { mergePlanes, splitPlanes } from "../../../src/container/codec/byte_planes.ts";
import { bytesOf } from "../samples.ts";

test("the planes of four-byte elements are all first bytes, then all second bytes, and so on", () => {
  const planes = new Uint8Array(8);
  splitPlanes(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 4, planes);
  expect([...planes]).toEqual([1, 5, 2, 6, 3, 7, 4, 8]);
});

test("planes merge to what they were split from, for every element size, length and alignment", () => {
  for (const byteSize of [1, 2, 4, 8]) {
    for (const count of [0, 1, 2, 3, 64, 65]) {
      for (const shift of [0, 1, 2]) {
        const raw = bytesOf(shift + count * byteSize, count).subarray(shift);
        const planes = new Uint8Array(raw.byteLength);
        splitPlanes(raw, byteSize, planes);
        const views = Array.from({ length: byteSize }, (_, i) => planes.subarray(i * count, (i + 1) * count));
        expect(mergePlanes(views, raw.byteLength)).toEqual(raw);
      }
    }
  }
});
