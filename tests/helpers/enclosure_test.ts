import { describe, expect, test } from "bun:test";
import { Seeded } from "../faults/numerics/seeded.ts";
import { ELEMENT_TWINS, twinOf } from "../graph/ops/element_twins.ts";
import { between, encloses, type Enclosure, exactly, isTelling, ONLY_NAN, sum } from "./enclosure.ts";

const SPECIAL = [0, -0, 1, -1, 2, -3, 0.5, 1e30, -1e30, NaN, Infinity, -Infinity].map(Math.fround);

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
      for (const [name, { float, enclose }] of Object.entries(ELEMENT_TWINS)) {
        const bound = enclose(a, b);
        if (!encloses(bound, Math.fround(float(x, y)))) {
          throw new Error(`${name}(${x}, ${y}) is not in ${JSON.stringify(bound)}`);
        }
      }
    }
  });

  test("leave nothing open where IEEE 754 leaves nothing open", () => {
    const { enclose: add } = twinOf("add");
    const { enclose: sub } = twinOf("sub");
    const { enclose: mul } = twinOf("mul");
    const { enclose: div } = twinOf("div");
    const { enclose: pow } = twinOf("pow");
    expect(add(exactly(1), exactly(2))).toEqual(exactly(3));
    expect(sub(exactly(Infinity), exactly(Infinity))).toEqual(ONLY_NAN);
    expect(mul(exactly(0), exactly(-Infinity))).toEqual(ONLY_NAN);
    expect(div(exactly(-3), exactly(0))).toEqual(exactly(-Infinity));
    expect(div(exactly(0), exactly(0))).toEqual(ONLY_NAN);
    expect(mul(exactly(1e30), exactly(1e30))).toEqual(exactly(Infinity));
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
