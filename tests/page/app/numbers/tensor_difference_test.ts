import { expect, test } from "bun:test";
import { DifferenceSum } from "../../../../src/page/app/numbers/tensor_difference.ts";

function differenceOf(...pairs: (readonly [readonly number[], readonly number[]])[]) {
  const sum = new DifferenceSum();
  for (const [a, b] of pairs) {
    const [x, y] = [Float32Array.from(a), Float32Array.from(b)];
    sum.add(x, y, new Uint8Array(x.buffer), new Uint8Array(y.buffer));
  }
  return sum.result;
}

test("equal bits are no difference, those of NaN and of zeros included", () => {
  expect(differenceOf([[1, 2], [1, 2]], [[NaN], [NaN]])).toMatchObject({
    count: 3,
    different: 0,
    largest: 0,
    relative: 0,
  });
  expect(differenceOf([[3, 4], [3, 4]]).cosine).toBe(1);
  expect(differenceOf([[0, 0], [0, 0]])).toMatchObject({
    different: 0,
    largest: 0,
    relative: 0,
    cosine: NaN,
  });
});

test("the largest distance, the relative one and the angle are over all pieces", () => {
  const found = differenceOf([[1, 2], [1, 2]], [[2], [3]]);
  expect(found).toMatchObject({ count: 3, different: 1, largest: 1 });
  expect(found.relative).toBeCloseTo(1 / 3, 12);
  expect(found.cosine).toBeCloseTo(11 / Math.sqrt(9 * 14), 12);
});

test("0 and -0 have other bits and no distance; NaN against a number is seen", () => {
  expect(differenceOf([[0, 1], [-0, 1]])).toMatchObject({ different: 1, largest: 0, relative: 0 });
  expect(differenceOf([[1, 1], [NaN, 5]])).toMatchObject({ different: 2, largest: NaN });
  expect(differenceOf([[Infinity], [-Infinity]]).largest).toBe(Infinity);
});
