import { checkOptions, type OptionNames } from "../base/options.ts";
import { parameter, type Value } from "../graph/value.ts";
import { formatShape, type Shape, shapesEqual } from "../tensor/shape.ts";
import type { Initializer } from "./initializers.ts";

/** A parameter that a model asked for: f32, trained, and saved under its name. */
export interface Parameter {
  /** Dotted path, for example `0.weight`. */
  readonly name: string;
  readonly shape: Shape;
  readonly initializer: Initializer;
  readonly value: Value;
}

/** Options of {@link Scope.root}. */
export interface ScopeOptions {
  /** Whether the trace is for training. */
  readonly isTraining: boolean;
}

/** Every option of {@link ScopeOptions}. */
export const SCOPE_OPTIONS: OptionNames<ScopeOptions> = { isTraining: true };

/** What all scopes of one trace share. */
interface Trace {
  readonly isTraining: boolean;
  readonly parameters: Map<string, Parameter>;
  streams: number;
}

/**
 * Where a layer gets what it does not have itself: parameters under a dotted name, and random streams. One
 * tree of scopes belongs to one trace of a model.
 */
export class Scope {
  readonly #trace: Trace;
  readonly #prefix: string;

  private constructor(trace: Trace, prefix: string) {
    this.#trace = trace;
    this.#prefix = prefix;
  }

  /** The scope of a whole model. */
  static root(options: ScopeOptions): Scope {
    const { isTraining } = checkOptions("Scope.root()", options, SCOPE_OPTIONS, "{ isTraining: true }");
    return new Scope({ isTraining, parameters: new Map(), streams: 0 }, "");
  }

  /** Whether this trace is for training; dropout does nothing otherwise. */
  get isTraining(): boolean {
    return this.#trace.isTraining;
  }

  /** Every parameter of the trace, in the order in which they were first asked for. */
  get parameters(): readonly Parameter[] {
    return [...this.#trace.parameters.values()];
  }

  /**
   * The scope `name` inside this one. The same name gives the same scope, which is how layers share weights.
   */
  child(name: string): Scope {
    return new Scope(this.#trace, this.#path(name));
  }

  /**
   * The f32 parameter `name` of this scope, which begins as `initializer` says. Asking again for the same
   * name gives the same parameter; with another shape it is a `TypeError`.
   */
  parameter(name: string, shape: Shape, initializer: Initializer): Value {
    const path = this.#path(name);
    const known = this.#trace.parameters.get(path);
    if (known !== undefined) {
      if (shapesEqual(known.shape, shape)) return known.value;
      throw new TypeError(
        `Parameter "${path}" has the shape ${formatShape(known.shape)} and is asked for again ` +
          `as ${formatShape(shape)}; give one of the two another name`,
      );
    }
    const value = parameter(path, "f32", shape);
    this.#trace.parameters.set(path, { name: path, shape: value.shape, initializer, value });
    return value;
  }

  /**
   * The number of a random stream that nobody else in the model has. The same layer gets the same number in
   * every trace.
   */
  randomStream(): number {
    return this.#trace.streams++;
  }

  #path(name: string): string {
    if (typeof name !== "string" || !/^[^.\s]+$/.test(name)) {
      throw new TypeError(`A name in a model is text without dots and spaces, found ${JSON.stringify(name)}`);
    }
    return this.#prefix === "" ? name : `${this.#prefix}.${name}`;
  }
}
