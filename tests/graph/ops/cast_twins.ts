import { mul } from "../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../src/graph/ops/cast.ts";
import {
  between,
  type Enclosure,
  exactly,
  hasNumber,
  ONLY_NAN,
  rounded,
  union,
} from "../../helpers/enclosure.ts";
import { f32, opCase, u32 } from "../op_case.ts";
import { at } from "./elements.ts";
import type { OpTwins } from "./op_twin.ts";

/** Twin of `src/graph/ops/cast.ts`. */
export const castTwins: OpTwins = {
  cast: {
    evaluate: (value, inputs) => at(inputs, 0).map((x) => castNumber(x, value.dtype)),
    enclose: (value, inputs) =>
      at(inputs, 0).map((x) => castEnclosure(x, at(value.inputs, 0).dtype, value.dtype)),
    use(maker) {
      const from = maker.random.pick(["f32", "f32", "i32", "u32", "f16", "bf16", "u8", "bool"] as const);
      const isComputed = from === "f32" || from === "i32" || from === "u32";
      const value = isComputed ? maker.value(from) : maker.packed(from);
      return cast(value, maker.random.pick(["f32", "i32", "u32"]));
    },
    cases: [opCase("cast from integers", [u32([6], 100), f32([6])], (a, b) => mul(cast(a, "f32"), b))],
  },
};

function castNumber(x: number, dtype: string): number {
  if (dtype === "f32") return x;
  if (Number.isNaN(x)) return 0;
  const [low, high] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  return Math.min(Math.max(Math.trunc(x), low), high);
}

function castEnclosure(x: Enclosure, from: string, to: string): Enclosure {
  if (to === "f32") return from === "f16" || from === "bf16" || from === "f32" ? x : rounded(x);
  const [low, high] = to === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  if (from === "f32" || from === "f16" || from === "bf16") {
    const clamp = (bound: number): number => Math.min(Math.max(Math.trunc(bound), low), high) + 0;
    const numbers = hasNumber(x) ? between(clamp(x.lo), clamp(x.hi)) : ONLY_NAN;
    return x.nan ? { ...union(numbers, exactly(0)), nan: false } : numbers;
  }
  if (x.lo === x.hi) return exactly(to === "i32" ? x.lo | 0 : x.lo >>> 0);
  return between(low, high);
}
