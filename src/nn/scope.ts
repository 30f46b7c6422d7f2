import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { parameter } from "../graph/ops/sources.ts";
import type { Value } from "../graph/value.ts";
import { formatShape, type Shape, shapesEqual } from "../tensor/shape.ts";
import type { Initializer } from "./initializers.ts";

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

/** A parameter, and who asked for it first. */
interface Taken {
  readonly parameter: Parameter;
  readonly by: LayerCall | undefined;
}

/** What all scopes of one trace share. */
interface Trace {
  readonly isTraining: boolean;
  readonly taken: Map<string, Taken>;
  streams: number;
}

/**
 * Where a layer gets what it does not have itself: parameters under a dotted name, and random streams. One
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
    return new Scope({ isTraining, taken: new Map(), streams: 0 }, "", undefined);
  }

  /** Whether this trace is for training; dropout does nothing otherwise. */
  get isTraining(): boolean {
    return this.#trace.isTraining;
  }

  /** Its dotted name in the model, such as `0.attention`; empty for the whole model's. */
  get path(): string {
    return this.#prefix;
  }

  /** Every parameter of the trace, in the order in which they were first asked for. */
  get parameters(): readonly Parameter[] {
    return Array.from(this.#trace.taken.values(), ({ parameter }) => parameter);
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
   * The f32 parameter `name` of this scope, which begins as `initializer` says.
   *
   * @throws TypeError for a name that is taken, unless the layer that took it is called again.
   */
  parameter(name: string, shape: Shape, initializer: Initializer): Value {
    const path = this.#path(name);
    const known = this.#trace.taken.get(path);
    if (known === undefined) return this.#take(path, shape, initializer);
    requireShape(path, known.parameter.shape, shape);
    if (isCalledAgain(known.by, this.#call)) return known.parameter.value;
    throw new TypeError(
      `Parameter "${path}" is taken: two layers of one scope would share it. Give each a scope of its own ` +
        `(scope.child("a"), or nn.sequential), or another name; call the same layer twice, or tie them by ` +
        `scope.shared("${name}", …), where it is to be one weight`,
    );
  }

  /**
   * As {@link Scope.parameter}, for a weight that several layers use, such as an embedding that is also the output's:
   * who asks again for the name gets the same parameter.
   *
   * @throws TypeError for another shape than it has.
   */
  shared(name: string, shape: Shape, initializer: Initializer): Value {
    const path = this.#path(name);
    const known = this.#trace.taken.get(path);
    if (known === undefined) return this.#take(path, shape, initializer);
    requireShape(path, known.parameter.shape, shape);
    return known.parameter.value;
  }

  /**
   * The number of a random stream that nothing else in the model has. The same layer gets the same number in every
   * trace; when it is called twice in one, each call has its own, so that dropout drops anew.
   */
  randomStream(): number {
    return this.#trace.streams++;
  }

  #take(path: string, shape: Shape, initializer: Initializer): Value {
    const value = parameter(path, "f32", shape);
    const taken = { name: path, shape: value.shape, initializer, value };
    this.#trace.taken.set(path, { parameter: taken, by: this.#call });
    return value;
  }

  #path(name: string): string {
    if (typeof name !== "string" || !/^[^.\s]+$/.test(name)) {
      throw new TypeError(`A name in a model is text without dots and spaces, found ${JSON.stringify(name)}`);
    }
    return this.#prefix === "" ? name : `${this.#prefix}.${name}`;
  }
}

/** Whether one and the same layer was at work both times, in two calls: it, or one that they were made in. */
function isCalledAgain(before: LayerCall | undefined, now: LayerCall | undefined): boolean {
  for (let call = now; call !== undefined; call = call.within) {
    for (let other = before; other !== undefined; other = other.within) {
      if (other !== call && other.layer === call.layer) return true;
    }
  }
  return false;
}

function requireShape(path: string, known: Shape, asked: Shape): void {
  if (shapesEqual(known, asked)) return;
  throw new TypeError(
    `Parameter "${path}" has the shape ${formatShape(known)} and is asked for again ` +
      `as ${formatShape(asked)}; give one of the two another name`,
  );
}
