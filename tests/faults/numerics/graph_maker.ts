import type { DType } from "../../../src/base/dtype.ts";
import { constant, full, input, parameter } from "../../../src/graph/ops.ts";
import type { Value } from "../../../src/graph/value.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import type { Shape } from "../../../src/tensor/shape.ts";
import type { Seeded } from "./seeded.ts";

type ComputeDType = "f32" | "i32" | "u32";

const SIZES = [1, 2, 3, 4, 5, 7, 8, 12];
const FLOATS = [0, -0, 1, -1, 2, 0.5, -3, 100, 1e30, -1e30, 1e-30, 1e-40, NaN, Infinity, -Infinity];
const INTEGERS = [0, 1, 2, 7, 100, 2 ** 31 - 1];

/** What the ops of a random graph are made from: the values that it has, and new leaves with their elements. */
export class GraphMaker {
  readonly random: Seeded;
  /** Stands in the names of leaves, so that graphs can share a program. */
  readonly prefix: string;
  readonly values: Value[] = [];
  readonly inputs: Value[] = [];
  readonly parameters: Value[] = [];
  readonly elements: Map<string, HostTensor> = new Map();

  constructor(random: Seeded, prefix: string) {
    this.random = random;
    this.prefix = prefix;
  }

  /** A value of the graph, rather one of the last, or a new leaf. */
  value(dtype: ComputeDType, suits: (value: Value) => boolean = () => true): Value {
    const known = this.values.filter((value) => value.dtype === dtype && suits(value));
    if (known.length > 0 && this.random.chance(0.93)) {
      return this.random.chance(0.85) ? known.at(-1) ?? this.random.pick(known) : this.random.pick(known);
    }
    const leaf = this.leaf(dtype, this.shape());
    return suits(leaf) ? leaf : this.leaf(dtype, [this.random.pick(SIZES), this.random.pick(SIZES)]);
  }

  f32(suits?: (value: Value) => boolean): Value {
    return this.value("f32", suits);
  }

  /** An f32 with elements along every axis. */
  notEmpty(): Value {
    return this.f32(({ shape }) => shape.length > 0 && !shape.includes(0));
  }

  matrix(): Value {
    return this.f32(({ shape }) => shape.length === 2);
  }

  /** What a binary op may take beside `value`: a number, the same again, or a tensor that broadcasts with it. */
  beside(value: Value): Value | number {
    const dtype = value.dtype as ComputeDType;
    const numbers = dtype === "f32" ? FLOATS : INTEGERS;
    const manner = this.random.next();
    if (manner < 0.35) return this.random.pick(numbers);
    if (manner < 0.45) return full(value.shape, this.random.pick(numbers), dtype);
    return manner < 0.55 ? value : this.tensorBeside(value, dtype);
  }

  /** A tensor that broadcasts with `value`. */
  tensorBeside(value: Value, dtype: ComputeDType): Value {
    const known = this.values.filter((other) =>
      other.dtype === dtype && broadcasts(value.shape, other.shape)
    );
    if (known.length > 0 && this.random.chance(0.6)) return this.random.pick(known);
    const shape = value.shape.map((size) => this.random.chance(0.3) ? 1 : size);
    return this.leaf(dtype, shape.slice(this.random.below(shape.length + 1)));
  }

  /** Up to three axes; now and then one that is empty, or longer than a workgroup. */
  shape(): Shape {
    if (this.random.chance(0.04)) return [3, 0];
    if (this.random.chance(0.06)) return [this.random.pick([64, 65, 257])];
    return Array.from({ length: this.random.below(4) }, () => this.random.pick(SIZES));
  }

  /**
   * A new tensor: an input, a parameter or a constant, now and then stored in another dtype that is loaded as this
   * one.
   */
  leaf(dtype: ComputeDType, shape: Shape): Value {
    const tensor = HostTensor.from(this.#numbers(dtype, shape), shape, dtype);
    if (this.random.chance(0.15)) return this.keep(constant(tensor));
    return this.named(this.random.chance(0.3) ? "parameter" : "input", tensor);
  }

  /** An input or a parameter with these elements. */
  named(kind: "input" | "parameter", tensor: HostTensor): Value {
    const name = `${this.prefix}${this.elements.size}`;
    this.elements.set(name, tensor);
    const value = (kind === "input" ? input : parameter)(name, tensor.dtype, tensor.shape);
    (kind === "input" ? this.inputs : this.parameters).push(value);
    return this.keep(value);
  }

  /** An input in a dtype that shaders do not compute in. */
  packed(dtype: DType): Value {
    const isFloat = dtype === "f16" || dtype === "bf16";
    const shape = this.shape();
    const numbers = this.#numbers(isFloat ? "f32" : "u32", shape);
    return this.named("input", HostTensor.from(isFloat ? numbers : numbers.map((x) => x % 2), shape, dtype));
  }

  keep(value: Value): Value {
    this.values.push(value);
    return value;
  }

  /**
   * Elements in one of several manners: ordinary, small whole numbers (with ties), all the same, or special ones
   * among others.
   */
  #numbers(dtype: ComputeDType, shape: Shape): number[] {
    const { random } = this;
    const count = shape.reduce((product, size) => product * size, 1);
    const manner = random.pick([
      "ordinary",
      "ordinary",
      "positive",
      "whole",
      "whole",
      "same",
      "special",
    ]);
    const special = dtype === "f32"
      ? FLOATS
      : dtype === "i32"
      ? [...INTEGERS, -1, -7, -(2 ** 31)]
      : [...INTEGERS, 2 ** 32 - 1];
    const same = random.pick(special);
    const one = (): number => {
      if (manner === "same") return same;
      if (manner === "special" && random.chance(0.3)) return random.pick(special);
      const size = random.next() * 4;
      if (dtype !== "f32") return Math.floor(dtype === "i32" && random.chance(0.5) ? -size : size);
      const number = manner === "positive" || random.chance(0.5) ? size : -size;
      return manner === "whole" ? Math.floor(number) : Math.fround(number);
    };
    return Array.from({ length: count }, one);
  }
}

function broadcasts(a: Shape, b: Shape): boolean {
  return [...a.keys()].every((axis) => {
    const [x, y] = [a.at(-1 - axis) ?? 1, b.at(-1 - axis) ?? 1];
    return x === y || x === 1 || y === 1;
  });
}
