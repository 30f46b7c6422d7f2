import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { parameter } from "../graph/ops/sources.ts";
import { stopGradient } from "../graph/ops/views.ts";
import type { Value } from "../graph/value.ts";
import { groupOf, MODEL_GROUP } from "../tensor/group_names.ts";
import { formatShape, type Shape, shapesEqual } from "../tensor/shape.ts";
import type { DecodingCache } from "./decoding_cache.ts";
import { type Initializer, zeros } from "./initializers.ts";

/** A parameter that a model asked for: f32, trained, and saved under its name. */
export interface Parameter {
  /** Dotted path, for example `0.weight`. */
  readonly name: string;
  /** Sizes of the dimensions, outermost first. */
  readonly shape: Shape;
  /** What fills it before the first step. */
  readonly initializer: Initializer;
  /** Its node in the graph, for which the program binds the store's memory. */
  readonly value: Value;
}

/** What a layer keeps from step to step and does not train: saved under its name, in no optimiser. */
export interface ModelBuffer {
  /** Dotted path, for example `0.running_mean`. */
  readonly name: string;
  /** Sizes of the dimensions, outermost first. */
  readonly shape: Shape;
  /** The dtype of its elements. */
  readonly dtype: BufferDType;
  /** What fills it before the first step. */
  readonly initializer: Initializer;
  /** Its node in the graph, for which the program binds the store's memory. */
  readonly value: Value;
}

/** The dtypes that a buffer may have. */
export type BufferDType = "f32" | "i32" | "u32";

/** Options of {@link Scope.buffer}. */
export interface BufferOptions {
  /** What fills it before the first step. Default: zeros. */
  readonly initial?: Initializer | undefined;
  /** The dtype of its elements. Default `f32`. */
  readonly dtype?: BufferDType | undefined;
}

/** Every option of {@link BufferOptions}. */
export const BUFFER_OPTIONS: OptionNames<BufferOptions> = { initial: true, dtype: true };

/** Options of {@link Scope.root}. */
export interface ScopeOptions {
  /** Whether the trace is for training. */
  readonly isTraining: boolean;
}

/** Every option of {@link ScopeOptions}. */
export const SCOPE_OPTIONS: OptionNames<ScopeOptions> = { isTraining: true };

/** One call of a layer, within the calls that it was made in. */
interface LayerCall {
  /** The layer, by which a second call of it is known. */
  readonly layer: object;
  readonly within: LayerCall | undefined;
}

/** A parameter or a buffer, and who asked for it first. */
type Taken =
  & { readonly by: LayerCall | undefined }
  & ({
    readonly kind: "Parameter";
    readonly tensor: Parameter;
  } | {
    readonly kind: "Buffer";
    readonly tensor: ModelBuffer;
  });

/** A parameter or a buffer of another model in the same store, which a model reads. */
export interface BorrowedTensor {
  /** The model's. */
  readonly of: string;
  readonly name: string;
  readonly dtype: BufferDType;
  readonly shape: Shape;
}

/** What all scopes of one trace share, or those of another model in it. */
interface Trace {
  readonly isTraining: boolean;
  readonly cache: DecodingCache | undefined;
  /** Whose tensors are asked for; `undefined` of the model's own. */
  readonly of: string | undefined;
  readonly taken: Map<string, Taken>;
  /** What buffers become in this step, by their names. */
  readonly updates: Map<string, Value>;
  /** By the names of other models. */
  readonly others: Map<string, Trace>;
  readonly streams: { next: number };
}

function rootTrace(isTraining: boolean, cache: DecodingCache | undefined): Trace {
  return newTrace({ isTraining, cache, of: undefined, others: new Map(), streams: { next: 0 } });
}

function newTrace(base: Omit<Trace, "taken" | "updates">): Trace {
  return { ...base, taken: new Map(), updates: new Map() };
}

/**
 * Where a layer gets what it does not have itself: parameters and buffers under a dotted name, and random streams. One
 * tree of scopes belongs to one trace of a model.
 *
 * A name is taken once. Only the same layer that is called again in the same scope gets its parameters again, as in
 * Keras and PyTorch, and {@link Scope.shared} ties by name: two layers never share a weight without a word.
 */
export class Scope {
  readonly #trace: Trace;
  readonly #prefix: string;
  readonly #call: LayerCall | undefined;

  private constructor(trace: Trace, prefix: string, call: LayerCall | undefined) {
    this.#trace = trace;
    this.#prefix = prefix;
    this.#call = call;
  }

  /** The scope of a whole model. */
  static root(options: ScopeOptions): Scope {
    const { isTraining } = checkOptions("Scope.root()", options, SCOPE_OPTIONS, "{ isTraining: true }");
    return new Scope(rootTrace(isTraining, undefined), "", undefined);
  }

  /**
   * The scope of a whole model, in evaluation, for positions that follow those of which `cache` has what is needed.
   * @internal
   */
  static decoding(cache: DecodingCache): Scope {
    return new Scope(rootTrace(false, cache), "", undefined);
  }

  /** Whether this trace is for training; dropout does nothing otherwise. */
  get isTraining(): boolean {
    return this.#trace.isTraining;
  }

  /**
   * What layers keep of the positions before, where the model is given only those that follow them.
   * @internal
   */
  get cache(): DecodingCache | undefined {
    return this.#trace.cache;
  }

  /** Its dotted name in the model, such as `0.attention`; empty for the whole model's. */
  get path(): string {
    return this.#prefix;
  }

  /** Every parameter of the trace, in the order in which they were first asked for. */
  get parameters(): readonly Parameter[] {
    return [...this.#trace.taken.values()].flatMap((taken) =>
      taken.kind === "Parameter" ? [taken.tensor] : []
    );
  }

  /** Every buffer of the trace, in the order in which they were first asked for. */
  get buffers(): readonly ModelBuffer[] {
    return [...this.#trace.taken.values()].flatMap((taken) => taken.kind === "Buffer" ? [taken.tensor] : []);
  }

  /**
   * What is read of other models in the store.
   *
   * @internal
   */
  get borrowed(): readonly BorrowedTensor[] {
    return [...this.#trace.others].flatMap(([of, { taken }]) =>
      [...taken].map(([name, { kind, tensor }]): BorrowedTensor => {
        return { of, name, dtype: kind === "Buffer" ? tensor.dtype : "f32", shape: tensor.shape };
      })
    );
  }

  /** What buffers become in a step of training, by their dotted names. */
  get bufferUpdates(): ReadonlyMap<string, Value> {
    return this.#trace.updates;
  }

  /** The scope `name` inside this one. The same name gives the same scope. */
  child(name: string): Scope {
    return new Scope(this.#trace, this.#path(name), this.#call);
  }

  /** This scope for one call of `layer`; see {@link layer}. */
  callOf(layer: object): Scope {
    return new Scope(this.#trace, this.#prefix, { layer, within: this.#call });
  }

  /**
   * The scope of the whole model that is called `name` in the same store: what is asked of it is read there, and is
   * neither trained nor initialised here, and no buffer of it is changed.
   *
   * @internal
   */
  ofModel(name: string): Scope {
    const known = this.#trace.others.get(name);
    const trace = known ?? newTrace({ ...this.#trace, of: name });
    this.#trace.others.set(name, trace);
    return new Scope(trace, "", this.#call);
  }

  /**
   * The f32 parameter `name` of this scope, which begins as `initializer` says.
   *
   * @throws TypeError for a name that is taken, unless the layer that took it is called again.
   */
  parameter(name: string, shape: Shape, initializer: Initializer): Value {
    const path = this.#path(name);
    const known = this.#known("Parameter", path, "f32", shape);
    if (known === undefined) return this.#take(path, shape, initializer);
    this.#requireAgain(known, name);
    return known.tensor.value;
  }

  /**
   * As {@link Scope.parameter}, for a weight that several layers use, such as an embedding that is also the output's:
   * who asks again for the name gets the same parameter.
   *
   * @throws TypeError for another shape than it has.
   */
  shared(name: string, shape: Shape, initializer: Initializer): Value {
    const path = this.#path(name);
    return this.#known("Parameter", path, "f32", shape)?.tensor.value ?? this.#take(path, shape, initializer);
  }

  /**
   * The buffer `name` of this scope: state that is saved, restored and exported as a parameter is, and that no
   * optimiser touches. No gradient flows into it, nothing decays or clips it, and averages of weights (`ema`) leave it
   * as it is. {@link Scope.updateBuffer} gives it another value; whoever asks for it after that, in the same trace,
   * gets that one.
   *
   * @throws TypeError for a name that is taken, unless the layer that took it is called again.
   */
  buffer(name: string, shape: Shape, options: BufferOptions = {}): Value {
    const { initial = zeros(), dtype = "f32" } = checkOptions(
      "scope.buffer()",
      options,
      BUFFER_OPTIONS,
      "{ initial: nn.ones() }",
    );
    if (!BUFFER_DTYPES.includes(dtype)) {
      throw new TypeError(`scope.buffer(): the dtype is one of ${BUFFER_DTYPES.join(", ")}, found ${dtype}`);
    }
    const path = this.#path(name);
    const known = this.#known("Buffer", path, dtype, shape);
    if (known !== undefined) {
      this.#requireAgain(known, name);
      return this.#trace.updates.get(path) ?? known.tensor.value;
    }
    const value = parameter(this.#place(path), dtype, shape);
    const tensor = { name: path, shape: value.shape, dtype, initializer: initial, value };
    this.#trace.taken.set(path, { kind: "Buffer", tensor, by: this.#call });
    return value;
  }

  /**
   * Says what the buffer `name` of this scope is after this step; the last word of a trace counts. It happens in steps
   * of training only, and in those only that count: a step that is not finite, or that is skipped, changes no buffer.
   * In evaluation and prediction it does nothing. Where a step computes its batch in pieces (`microBatchSize`), each
   * piece in turn sees what the one before left, as in PyTorch; in shards (`parallel`), each begins with the same, and
   * the buffer becomes the mean of what they say, of whole numbers what the first one says.
   *
   * @throws TypeError for a name that is no buffer's, and for a value of another dtype or shape.
   */
  updateBuffer(name: string, value: Value): void {
    const path = this.#path(name);
    const known = this.#trace.taken.get(path);
    if (known?.kind !== "Buffer") {
      throw new TypeError(
        `There is no buffer "${path}" to update; ask for it first, by scope.buffer("${name}", …)`,
      );
    }
    const { dtype, shape } = known.tensor;
    if (value.dtype !== dtype || !shapesEqual(value.shape, shape)) {
      throw new TypeError(
        `Buffer "${path}" is ${dtype} ${formatShape(shape)} and cannot become ${value.dtype} ` +
          `${formatShape(value.shape)}; cast or reshape what it becomes`,
      );
    }
    if (this.isTraining) this.#trace.updates.set(path, stopGradient(value));
  }

  /**
   * The number of a random stream that nothing else in the model has. The same layer gets the same number in every
   * trace; when it is called twice in one, each call has its own, so that dropout drops anew.
   */
  randomStream(): number {
    return this.#trace.streams.next++;
  }

  /** What is taken under `path`. @throws TypeError where that is of another kind, dtype or shape. */
  #known<K extends Taken["kind"]>(
    kind: K,
    path: string,
    dtype: BufferDType,
    shape: Shape,
  ): Extract<Taken, { kind: K }> | undefined {
    const known = this.#trace.taken.get(path);
    if (known === undefined) return undefined;
    if (!isOfKind(known, kind)) {
      throw new TypeError(
        `${kind} "${path}" is taken: a ${known.kind.toLowerCase()} has that name; give it another`,
      );
    }
    requireSame(known, dtype, shape);
    return known;
  }

  #requireAgain({ kind, by, tensor }: Taken, name: string): void {
    if (isCalledAgain(by, this.#call)) return;
    const tie = kind === "Parameter" ? `, or tie them by scope.shared("${name}", …),` : "";
    throw new TypeError(
      `${kind} "${tensor.name}" is taken: two layers of one scope would share it. Give each a scope of its own ` +
        `(scope.child("a"), or nn.sequential), or another name; call the same layer twice${tie} ` +
        `where it is to be one ${kind === "Parameter" ? "weight" : "buffer"}`,
    );
  }

  #take(path: string, shape: Shape, initializer: Initializer): Value {
    const value = parameter(this.#place(path), "f32", shape);
    const tensor = { name: path, shape: value.shape, initializer, value };
    this.#trace.taken.set(path, { kind: "Parameter", tensor, by: this.#call });
    return value;
  }

  /** What a tensor of the model's own is called in the graph, or one of another model. */
  #place(path: string): string {
    return this.#trace.of === undefined ? path : borrowedName(this.#trace.of, path);
  }

  #path(name: string): string {
    if (typeof name !== "string" || !/^[^.\s]+$/.test(name)) {
      throw new TypeError(`A name in a model is text without dots and spaces, found ${JSON.stringify(name)}`);
    }
    return this.#prefix === "" ? name : `${this.#prefix}.${name}`;
  }
}

/** What the tensor `path` of the model `of` is called in the graph of another one. No name of its own begins so. */
function borrowedName(of: string, path: string): string {
  return `${BORROWED}${groupOf(of, MODEL_GROUP)}.${path}`;
}

/** The full name in the store of a tensor of another model, by its name in the graph; `undefined` for one's own. */
export function borrowedTensor(name: string): string | undefined {
  return name.startsWith(BORROWED) ? name.slice(BORROWED.length) : undefined;
}

/** What stands before the full names of tensors of other models. */
const BORROWED = ".";

/** Whether one and the same layer was at work both times, in two calls: it, or one that they were made in. */
function isCalledAgain(before: LayerCall | undefined, now: LayerCall | undefined): boolean {
  for (let call = now; call !== undefined; call = call.within) {
    for (let other = before; other !== undefined; other = other.within) {
      if (other !== call && other.layer === call.layer) return true;
    }
  }
  return false;
}

const BUFFER_DTYPES: readonly BufferDType[] = ["f32", "i32", "u32"];

function isOfKind<K extends Taken["kind"]>(taken: Taken, kind: K): taken is Extract<Taken, { kind: K }> {
  return taken.kind === kind;
}

function requireSame({ kind, tensor }: Taken, dtype: BufferDType, asked: Shape): void {
  const { name, shape } = tensor;
  const known = kind === "Buffer" ? tensor.dtype : "f32";
  if (known !== dtype) {
    throw new TypeError(
      `Buffer "${name}" is ${known} and is asked for again as ${dtype}; give one another name`,
    );
  }
  if (shapesEqual(shape, asked)) return;
  throw new TypeError(
    `${kind} "${name}" has the shape ${formatShape(shape)} and is asked for again ` +
      `as ${formatShape(asked)}; give one of the two another name`,
  );
}
