import type { Expression } from "../kernels/elementwise/expression.ts";
import { shapesEqual } from "../tensor/shape.ts";
import { definitionOf } from "./create_value.ts";
import { sixteenBitsOf } from "./precision/kernel_context.ts";
import type { ElementwiseCost, ElementwiseLowering } from "./op.ts";
import { reachable, type Value } from "./value.ts";
import { isIdentity, isRead, isScattered, type ReadWalk, unwrap, walkOf } from "./walks.ts";

/** Elementwise ops that run as one kernel: everything that `root` is computed from, down to values in memory. */
export interface FusedGroup {
  /** The value that the kernel writes. */
  readonly root: Value;
  /** What it reads in memory, in order of first use; each broadcasts to the root's shape. */
  readonly leaves: readonly ReadWalk[];
  readonly expression: Expression;
  /** What the kernel computes, in order; the root is the last. */
  readonly members: readonly Value[];
  readonly usesScalars: boolean;
}

/**
 * Every adapter binds eight storage buffers; one is for the output. (The step's scalars are a uniform, which has a
 * limit of its own.)
 */
const MAX_LEAVES = 7;

/** A kernel of more ops saves nothing that one of this many does not, and takes shader compilers ever longer. */
const MAX_OPS = 256;

/**
 * A value that several kernels use, or that a larger one broadcasts, is computed again in each as long as that takes
 * at most this much work (see `WORK`) and reads one tensor: then it costs about what reading its result would, and
 * saves writing it. Everything more expensive is computed once and kept in memory.
 */
const RECOMPUTE_LIMIT = 2;

const WORK: Readonly<Record<ElementwiseCost, number>> = { free: 0, cheap: 1, expensive: 100 };

/**
 * Groups the elementwise ops that `roots` depend on into kernels.
 *
 * Goes from the last value to the first, so that all users of a value are placed before it. A value joins the kernel
 * of its users when they are all in one; it is repeated in several when that is cheap; otherwise it is a kernel of its
 * own. Since a value only joins when no user is elsewhere, no kernel ever waits for itself.
 */
export function fuse(roots: readonly Value[]): Map<Value, FusedGroup> {
  const values = reachable(roots);
  const users = usersOf(values);
  const inMemory = valuesInMemory(values, roots, users);
  const cheap = cheapToRepeat(values, inMemory);
  const open = new Map<Value, OpenGroup>();
  const groupsOf = new Map<Value, readonly OpenGroup[]>();
  for (const value of [...values].reverse()) {
    if (definitionOf(value).lowering.kind === "read" && inMemory.has(value)) {
      open.set(value, new OpenGroup(value));
      continue;
    }
    if (elementwiseOf(value) === undefined || isIdentity(value)) continue;
    const wanted = new Set((users.get(value) ?? []).flatMap((user) => groupsOf.get(user) ?? []));
    const joins = (isNumber(value) || !inMemory.has(value)) &&
      [...wanted].every((group) =>
        group.canTake(value) &&
        (cheap.has(value) || wanted.size === 1 && shapesEqual(group.root.shape, value.shape))
      );
    const groups = joins ? [...wanted] : [];
    if (!joins || inMemory.has(value)) {
      const own = new OpenGroup(value);
      open.set(value, own);
      groups.push(own);
    }
    for (const group of groups) group.add(value);
    groupsOf.set(value, groups);
  }
  return new Map([...open].reverse().map(([root, group]) => [root, group.close(inMemory)]));
}

/** A kernel that is being put together. */
class OpenGroup {
  readonly root: Value;
  readonly #members = new Set<Value>();
  #frontier: ReadonlySet<Value>;

  constructor(root: Value) {
    this.root = root;
    this.#frontier = new Set([root]);
  }

  canTake(value: Value): boolean {
    if (isNumber(value)) return true;
    return this.#members.size < MAX_OPS &&
      [...this.#frontierWith(value)].filter((leaf) => !isNumber(leaf)).length <= MAX_LEAVES;
  }

  add(value: Value): void {
    this.#frontier = this.#frontierWith(value);
    this.#members.add(value);
  }

  close(inMemory: ReadonlySet<Value>): FusedGroup {
    if (this.#members.size === 0) return this.#copied(inMemory);
    const isInMemory = (value: Value): boolean => inMemory.has(value);
    const leaves: ReadWalk[] = [];
    const built = new Map<Value, Expression>();
    let usesScalars = false;
    const build = (value: Value): Expression => {
      const known = built.get(value);
      if (known !== undefined) return known;
      const lowering = this.#members.has(value) ? elementwiseOf(value) : undefined;
      const expression = lowering !== undefined
        ? lowering.expression(value, value.inputs.map((input) => build(unwrap(input))))
        : { kind: "input" as const, index: leaves.push(walkOf(value, isInMemory)) - 1 };
      usesScalars ||= expression.kind === "scalar";
      built.set(value, expression);
      return expression;
    };
    const expression = build(this.root);
    return { root: this.root, leaves, expression, members: [...this.#members].reverse(), usesScalars };
  }

  /** A read that is not computed with: its elements, copied into a row. */
  #copied(inMemory: ReadonlySet<Value>): FusedGroup {
    const { root } = this;
    const walk = walkOf(root, (value) => value !== root && inMemory.has(value));
    return {
      root,
      leaves: [walk],
      expression: { kind: "input", index: 0 },
      members: [root],
      usesScalars: false,
    };
  }

  /** What the kernel would read with `value` computed inside. */
  #frontierWith(value: Value): Set<Value> {
    const frontier = new Set(this.#frontier);
    frontier.delete(value);
    for (const input of value.inputs) frontier.add(unwrap(input));
    return frontier;
  }
}

/** How an elementwise value is computed, and `undefined` for every other. */
function elementwiseOf(value: Value): ElementwiseLowering | undefined {
  const { lowering } = definitionOf(value);
  return lowering.kind === "elementwise" ? lowering : undefined;
}

/** Whether `value` is a literal or a number of the step, which a kernel has without reading memory. */
function isNumber(value: Value): boolean {
  return value.inputs.length === 0 && elementwiseOf(value) !== undefined;
}

/** Values that have to be in memory: what the program keeps, what kernels and views read, and what reads walk. */
function valuesInMemory(
  values: readonly Value[],
  roots: readonly Value[],
  users: ReadonlyMap<Value, readonly Value[]>,
): Set<Value> {
  const inMemory = new Set(roots.map(unwrap));
  // Those that use a value come before it, so that it is known by then whether it is in memory itself.
  for (const value of [...values].reverse()) {
    if (isIdentity(value)) continue;
    const inputs = value.inputs.map(unwrap);
    if (elementwiseOf(value) !== undefined) {
      for (const input of inputs.filter(isRead)) {
        const walk = walkOf(input);
        // Going through memory in leaps is done once where several need it.
        const isCopied = isScattered(walk) && (users.get(input)?.length ?? 0) > 1;
        inMemory.add(isCopied ? input : walk.source);
      }
    } else if (inMemory.has(value) || !isRead(value)) {
      const isCopied = definitionOf(value).lowering.kind === "read";
      for (const input of inputs) {
        inMemory.add(isCopied ? walkOf(value).source : sixteenBitsOf(input) ?? input);
      }
    }
  }
  return inMemory;
}

function usersOf(values: readonly Value[]): Map<Value, Value[]> {
  const users = new Map<Value, Value[]>();
  for (const value of values) {
    if (isIdentity(value)) continue;
    for (const input of new Set(value.inputs.map(unwrap))) {
      const list = users.get(input);
      if (list === undefined) users.set(input, [value]);
      else list.push(value);
    }
  }
  return users;
}

interface Repetition {
  readonly work: number;
  readonly tensors: ReadonlySet<Value>;
}

/** The elementwise values that may be computed more than once; see {@link RECOMPUTE_LIMIT}. */
function cheapToRepeat(values: readonly Value[], inMemory: ReadonlySet<Value>): Map<Value, Repetition> {
  const cheap = new Map<Value, Repetition>();
  for (const value of values) {
    const lowering = elementwiseOf(value);
    if (lowering === undefined || inMemory.has(value) && !isNumber(value)) continue;
    let work = WORK[lowering.cost];
    const tensors = new Set<Value>();
    for (const input of new Set(value.inputs.map(unwrap))) {
      const inner = cheap.get(input);
      work += inner?.work ?? 0;
      for (const tensor of inner?.tensors ?? [input]) tensors.add(tensor);
    }
    if (work <= RECOMPUTE_LIMIT && tensors.size <= 1) cheap.set(value, { work, tensors });
  }
  return cheap;
}
