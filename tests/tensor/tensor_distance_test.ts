import { expect, test } from "bun:test";
import { DistanceSum } from "../../src/tensor/tensor_distance.ts";

function distanceOf(...pairs: (readonly [readonly number[], readonly number[]])[]) {
  const sum = new DistanceSum("f32", "f32");
  for (const [a, b] of pairs) {
    sum.add(new Uint8Array(Float32Array.from(a).buffer), new Uint8Array(Float32Array.from(b).buffer));
  }
  return sum.result;
}

test("equal bits are no distance, those of NaN and of zeros included", () => {
  expect(distanceOf([[1, 2], [1, 2]], [[NaN], [NaN]])).toEqual({
    count: 3,
    different: 0,
    greatest: 0,
    relative: 0,
    cosine: 1,
    notFinite: 0,
  });
  expect(distanceOf([[0, 0], [0, 0]])).toMatchObject({ different: 0, relative: 0, cosine: 1 });
});

test("the greatest distance, the relative one and the angle are over all pieces", () => {
  const found = distanceOf([[1, 2], [1, 2]], [[2], [3]]);
  expect(found).toMatchObject({ count: 3, different: 1, greatest: 1 });
  expect(found.relative).toBeCloseTo(1 / 3, 12);
  expect(found.cosine).toBeCloseTo(11 / Math.sqrt(9 * 14), 12);
});

test("0 and -0 have other bits and no distance", () => {
  expect(distanceOf([[0, 1], [-0, 1]])).toMatchObject({ different: 1, greatest: 0, relative: 0, cosine: 1 });
});

test("NaN and infinities against something else are counted, and in no other figure", () => {
  expect(distanceOf([[1, 1], [NaN, 5]])).toMatchObject({ different: 2, greatest: 4, notFinite: 1 });
  expect(distanceOf([[Infinity], [-Infinity]])).toMatchObject({ different: 1, greatest: 0, notFinite: 1 });
});

test("nothing against something is no angle", () => {
  expect(distanceOf([[0], [1]]).cosine).toBe(NaN);
});
