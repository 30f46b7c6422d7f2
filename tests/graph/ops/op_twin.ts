import type { Value } from "../../../src/graph/value.ts";
import type { GraphMaker } from "../../faults/numerics/graph_maker.ts";
import type { Enclosure } from "../../helpers/enclosure.ts";
import type { OpCase } from "../op_case.ts";

/** What a program's values are computed from. Elements are numbers in row-major order, whatever the dtype. */
export interface Environment {
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
  readonly parameters?: Readonly<Record<string, ArrayLike<number>>>;
  readonly scalars?: readonly number[];
  /** The numbers of a random op. */
  readonly random?: (op: string, stream: number, count: number) => ArrayLike<number>;
  /** Custom ops by name. */
  readonly custom?: Readonly<
    Record<string, (inputs: readonly Float64Array[], output: Value) => ArrayLike<number>>
  >;
}

/** One for each element. */
export type Enclosures = readonly Enclosure[];

/** The same for enclosures: the elements of inputs and parameters by name. */
export interface EnclosingEnvironment {
  readonly leaves: Readonly<Record<string, ArrayLike<number>>>;
  readonly scalars: readonly number[];
  /** The numbers of a random op. */
  readonly random: (op: string, stream: number, count: number) => Enclosures;
  /** Custom ops by name. */
  readonly custom: Readonly<Record<string, (inputs: readonly Enclosures[]) => Enclosures>>;
}

/** One use of an op in a random graph. */
export type OpUse = (maker: GraphMaker) => Value;

/**
 * All that the tests know of an op: a new one needs an entry under its name, and nothing else. A function that is
 * composed of other ops is no op of its own: it has uses and cases only. An op that only gradients have has no use.
 */
export interface OpTwin {
  /** The elements of a result, in float64. */
  readonly evaluate?: (
    value: Value,
    inputs: readonly Float64Array[],
    environment: Environment,
  ) => ArrayLike<number>;
  /** What IEEE 754 and the accuracy of WGSL's functions allow of each element. */
  readonly enclose?: (
    value: Value,
    inputs: readonly Enclosures[],
    environment: EnclosingEnvironment,
  ) => Enclosures;
  readonly use?: OpUse;
  /** Where its gradient is checked and its result compared on the GPU. */
  readonly cases?: readonly OpCase[];
}

/** The twins of a file of `src/graph/ops`. */
export type OpTwins = Readonly<Record<string, OpTwin>>;
