import { describe, expect, test } from "bun:test";
import { errorOf, principalComponents } from "../../examples/autoencoder/principal.ts";

describe("principal components", () => {
  // Rows of four numbers around (1, 2, 3, 4): far along one direction, less along another, a little along a third.
  const [far, less, little] = [[0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5], [0.5, 0.5, -0.5, -0.5]];
  const rows = Float32Array.from(
    Array.from({ length: 360 }, (_, row) => {
      const [a, b, c] = [4 * Math.sin(row), 2 * Math.cos(3 * row), 0.5 * Math.sin(7 * row + 1)];
      return [1, 2, 3, 4].map((centre, at) =>
        centre + a * (far[at] ?? NaN) + b * (less[at] ?? NaN) + c * (little[at] ?? NaN)
      );
    }).flat(),
  );
  const [meanSquareFar, meanSquareLess, meanSquareLittle] = [8, 2, 0.125];

  test("are the directions in which rows differ most, at right angles", () => {
    const { mean, directions } = principalComponents(rows, 4, 2);
    [1, 2, 3, 4].forEach((centre, at) => expect(mean[at]).toBeCloseTo(centre, 1));
    const along = (direction: Float64Array | undefined, expected: readonly number[]): number =>
      Math.abs(expected.reduce((sum, each, at) => sum + each * (direction?.[at] ?? NaN), 0));
    expect(along(directions[0], far)).toBeCloseTo(1, 3);
    expect(along(directions[1], less)).toBeCloseTo(1, 3);
  });

  test("leave out what is not along them: with none of them all that rows differ from their mean", () => {
    const error = (count: number): number => 4 * errorOf(principalComponents(rows, 4, count), rows);
    expect(error(0)).toBeCloseTo(meanSquareFar + meanSquareLess + meanSquareLittle, 1);
    expect(error(1)).toBeCloseTo(meanSquareLess + meanSquareLittle, 1);
    expect(error(2)).toBeCloseTo(meanSquareLittle, 2);
    expect(error(3)).toBeCloseTo(0, 5);
  });
});
