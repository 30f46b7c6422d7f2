import { formatShape, type Shape } from "../../tensor/shape.ts";
import { item } from "../op.ts";
import type { Value } from "../value.ts";
import { matmul } from "./matmul.ts";
import { requireDType } from "./requirements.ts";
import { sum } from "./sum.ts";
import { reshape, transpose } from "./views.ts";

/**
 * Einstein's sum of two operands, such as `einsum("bik,bkj->bij", a, b)`: a letter names an axis, the same letter axes
 * of one size; letters that the result does not have are summed over. Without `->` the result has, in alphabetical
 * order, the letters that stand once. It is one `matmul`, which reads axes in another order in place where it can.
 * `f32`.
 *
 * Throws `TypeError` for an invalid equation, letters that do not fit the shapes, and one twice in one operand.
 */
export function einsum(equation: string, a: Value, b: Value): Value {
  requireDType("einsum", a, ["f32"]);
  requireDType("einsum", b, ["f32"]);
  const { left, right, result } = parsed(equation);
  const sizes = sizesOf(equation, [[left, a], [right, b]]);
  const keptA = summedAway(a, left, (letter) => right.includes(letter) || result.includes(letter));
  const keptB = summedAway(b, right, (letter) => left.includes(letter) || result.includes(letter));
  const isShared = (letter: string): boolean =>
    keptA.letters.includes(letter) && keptB.letters.includes(letter);
  const batch = [...result].filter(isShared);
  const rows = [...result].filter((letter) => keptA.letters.includes(letter) && !isShared(letter));
  const columns = [...result].filter((letter) => keptB.letters.includes(letter) && !isShared(letter));
  const inner = [...keptA.letters].filter((letter) => isShared(letter) && !result.includes(letter));
  const of = (letters: readonly string[]): number =>
    letters.reduce((product, letter) => product * (sizes.get(letter) ?? 1), 1);
  const product = matmul(
    arranged(keptA, [batch, rows, inner], [...batch.map((letter) => of([letter])), of(rows), of(inner)]),
    arranged(keptB, [batch, inner, columns], [
      ...batch.map((letter) => of([letter])),
      of(inner),
      of(columns),
    ]),
  );
  const order = [...batch, ...rows, ...columns];
  const apart = reshape(product, order.map((letter) => of([letter])));
  return transpose(apart, [...result].map((letter) => order.indexOf(letter)));
}

interface Lettered {
  readonly value: Value;
  readonly letters: string;
}

function parsed(equation: string): { left: string; right: string; result: string } {
  const match = /^([a-zA-Z]*),([a-zA-Z]*)(?:->([a-zA-Z]*))?$/.exec(equation.replaceAll(" ", ""));
  if (match === null) {
    throw new TypeError(`einsum: "${equation}" is no equation of two operands, such as "ij,jk->ik"`);
  }
  const [, left = "", right = "", given] = match;
  const all = left + right;
  const once = [...all].filter((letter) => all.indexOf(letter) === all.lastIndexOf(letter)).sort().join("");
  const result = given ?? once;
  for (
    const [what, letters] of [["an operand", left], ["an operand", right], ["the result", result]] as const
  ) {
    const twice = [...letters].find((letter, index) => letters.indexOf(letter) !== index);
    if (twice !== undefined) {
      throw new TypeError(`einsum: "${equation}" has ${twice} twice in ${what}; name each axis apart`);
    }
  }
  const unknown = [...result].find((letter) => !all.includes(letter));
  if (unknown !== undefined) {
    throw new TypeError(`einsum: no operand of "${equation}" has the axis ${unknown}`);
  }
  return { left, right, result };
}

function sizesOf(equation: string, operands: readonly (readonly [string, Value])[]): Map<string, number> {
  const sizes = new Map<string, number>();
  const shapes = operands.map(([, { shape }]) => formatShape(shape)).join(" and ");
  for (const [letters, { shape }] of operands) {
    if (letters.length !== shape.length) {
      throw new TypeError(
        `einsum: "${equation}" does not fit shapes ${shapes}: a letter stands for each axis`,
      );
    }
    [...letters].forEach((letter, axis) => {
      const size = item(shape, axis);
      if ((sizes.get(letter) ?? size) !== size) {
        throw new TypeError(
          `einsum: "${equation}" does not fit shapes ${shapes}: ${letter} is ${
            sizes.get(letter)
          } and ${size}`,
        );
      }
      sizes.set(letter, size);
    });
  }
  return sizes;
}

/** An operand, summed over the axes that only it has. */
function summedAway(value: Value, letters: string, isKept: (letter: string) => boolean): Lettered {
  const axes = [...letters].flatMap((letter, axis) => isKept(letter) ? [] : [axis]);
  if (axes.length === 0) return { value, letters };
  return { value: sum(value, { axes }), letters: [...letters].filter(isKept).join("") };
}

/**
 * An operand with its axes in the order of the groups, in a shape that joins those of a group. Where a group has one
 * axis, or none, which is one of size 1, it can be read in place; axes that are joined out of their order are copied.
 */
function arranged({ value, letters }: Lettered, groups: readonly (readonly string[])[], shape: Shape): Value {
  const [batch = [], ...matrix] = groups;
  if (matrix.some((group) => group.length > 1)) {
    return reshape(transpose(value, groups.flat().map((letter) => letters.indexOf(letter))), shape);
  }
  const missing = matrix.filter((group) => group.length === 0).length;
  let next = letters.length;
  const permutation = [
    ...batch.map((letter) => letters.indexOf(letter)),
    ...matrix.map(([letter]) => letter === undefined ? next++ : letters.indexOf(letter)),
  ];
  return transpose(reshape(value, [...value.shape, ...Array<number>(missing).fill(1)]), permutation);
}
