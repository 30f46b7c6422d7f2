import { describe, expect, test } from "bun:test";
import { Seeded } from "../faults/numerics/seeded.ts";
import { FLOAT_FUNCTIONS, FLOAT_OPERATORS, pow } from "./enclosed_functions.ts";
import { between, encloses, type Enclosure, exactly, isTelling, ONLY_NAN, sum } from "./enclosure.ts";

const SPECIAL = [0, -0, 1, -1, 2, -3, 0.5, 1e30, -1e30, NaN, Infinity, -Infinity].map(Math.fround);

const FUNCTIONS: Readonly<Record<string, (x: number) => number>> = {
  neg: (x) => -x,
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  tanh: Math.tanh,
  floor: Math.floor,
  reciprocal: (x) => 1 / x,
  square: (x) => x * x,
};

const OPERATORS: Readonly<Record<string, (x: number, y: number) => number>> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  maximum: Math.max,
  minimum: Math.min,
};

describe("enclosures", () => {
  test("hold what float32 gives, for numbers and for what lies around them", () => {
    const random = new Seeded(5);
    const number = (): number =>
      random.chance(0.3) ? random.pick(SPECIAL) : Math.fround((random.next() - 0.5) * 20);
    const around = (x: number): Enclosure => between(x - random.next(), x + random.next());
    for (let round = 0; round < 2000; round++) {
      const [x, y] = [number(), number()];
      const isAround = random.chance(0.5) && Number.isFinite(x) && Number.isFinite(y);
      const [a, b] = isAround ? [around(x), around(y)] : [exactly(x), exactly(y)];
      for (const [name, compute] of Object.entries(FUNCTIONS)) {
        const bound = FLOAT_FUNCTIONS[name]?.(a) ?? ONLY_NAN;
        if (!encloses(bound, Math.fround(compute(x)))) {
          throw new Error(`${name}(${x}) is not in ${JSON.stringify(bound)}`);
        }
      }
      for (const [name, compute] of Object.entries(OPERATORS)) {
        const bound = FLOAT_OPERATORS[name]?.(a, b) ?? ONLY_NAN;
        if (!encloses(bound, Math.fround(compute(x, y)))) {
          throw new Error(`${name}(${x}, ${y}) is not in ${JSON.stringify(bound)}`);
        }
      }
    }
  });

  test("leave nothing open where IEEE 754 leaves nothing open", () => {
    const { add, sub, mul, div } = FLOAT_OPERATORS;
    expect(add?.(exactly(1), exactly(2))).toEqual(exactly(3));
    expect(sub?.(exactly(Infinity), exactly(Infinity))).toEqual(ONLY_NAN);
    expect(mul?.(exactly(0), exactly(-Infinity))).toEqual(ONLY_NAN);
    expect(div?.(exactly(-3), exactly(0))).toEqual(exactly(-Infinity));
    expect(div?.(exactly(0), exactly(0))).toEqual(ONLY_NAN);
    expect(mul?.(exactly(1e30), exactly(1e30))).toEqual(exactly(Infinity));
    expect(pow(exactly(NaN), exactly(0))).toEqual(exactly(1));
    expect(sum([exactly(1), exactly(Infinity), exactly(-2)])).toEqual(exactly(Infinity));
    expect(sum([exactly(Infinity), exactly(-Infinity)])).toEqual(ONLY_NAN);
    expect(encloses(sum([exactly(0.1), exactly(0.2)]), 0.30001)).toBe(false);
  });

  test("say when they say little", () => {
    expect(isTelling(between(1, 1.001))).toBe(true);
    expect(isTelling(between(0, 1))).toBe(false);
    expect(isTelling(ONLY_NAN)).toBe(true);
    expect(isTelling(between(1, 1, true))).toBe(false);
  });
});
