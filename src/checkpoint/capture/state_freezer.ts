import { kindOf, withArticle } from "../../base/kind_of.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import {
  MAX_BIGINT_DIGITS,
  MAX_STATE_DEPTH,
  type StateValue,
  TensorRef,
} from "../../container/format/state_tree.ts";
import { problemOfName } from "../../container/format/tensor_name.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import type { HostBytes, Stateful, StateRoot, TensorBytes } from "./state_types.ts";
import { isStateful } from "./is_stateful.ts";
import { hasFieldsOfItsOwn, type KnownElements } from "../../base/own_fields.ts";
import { bytesOfNumbers, dtypeOfView, isTypedArray, type TypedArray, viewNameOf } from "./typed_arrays.ts";

/**
 * Copies a state in one pass, in the tick of the call. What would come back as less than it is, or as something else, is
 * refused with its place: each value is looked at once, and what was looked at is what is kept.
 */
export class StateFreezer {
  readonly tensors: HostBytes[] = [];
  readonly #root: StateRoot;
  readonly #refs = new Map<object, TensorRef>();
  readonly #names = new Set<string>();
  /** The objects around the one at hand. */
  readonly #above = new Set<object>();
  #depth = 0;
  /** From the root to the value at hand: a number is an index, a text a key. */
  readonly #path: (string | number)[] = [];

  constructor(root: StateRoot) {
    this.#root = root;
  }

  freeze(value: unknown): StateValue {
    switch (typeof value) {
      case "undefined":
      case "boolean":
      case "number":
        return value;
      case "string":
        return this.#text(value);
      case "bigint":
        if (value.toString().length <= MAX_BIGINT_DIGITS + (value < 0n ? 1 : 0)) return value;
        throw this.#refusal(`is a bigint of more than ${MAX_BIGINT_DIGITS} digits, which is the most`);
      case "object":
        return value === null ? null : this.#object(value);
      default:
        throw this.#refusal(`is ${kindOf(value)}, which cannot be saved`);
    }
  }

  #object(value: object): StateValue {
    const isState = isStateful(value);
    if (!isState && this.#depth >= MAX_STATE_DEPTH) {
      throw this.#refusal(`is deeper than ${MAX_STATE_DEPTH} levels`);
    }
    if (isTypedArray(value)) return this.#typedArray(value);
    if (value instanceof HostTensor) return this.#hostTensor(value);
    if (this.#above.has(value)) throw this.#refusal("contains itself; a state has no cycles");
    this.#above.add(value);
    if (!isState) this.#depth++;
    const frozen = isState ? this.#stateful(value) : this.#container(value);
    if (!isState) this.#depth--;
    this.#above.delete(value);
    return frozen;
  }

  #container(value: object): StateValue {
    if (Array.isArray(value)) return this.#array(value);
    switch (Object.getPrototypeOf(value)) {
      case Date.prototype:
        this.#requireNoFields(value, "a Date");
        return new Date((value as Date).getTime());
      case Map.prototype:
        return this.#map(value as Map<unknown, unknown>);
      case Set.prototype:
        return this.#set(value as Set<unknown>);
      default:
        return this.#fields(value);
    }
  }

  #array(value: readonly unknown[]): StateValue {
    const { length } = value;
    if (Object.getPrototypeOf(value) !== Array.prototype) {
      throw this.#refusal(
        `is an array of the class ${classOf(value)}, which would come back as an Array; save [...it]`,
      );
    }
    const numbers = bytesOfNumbers(value);
    if (numbers !== undefined) {
      return this.#refTo(value, () => {
        this.#requireOnlyElements(value, { length, primitives: "numbers" }, "an array");
        return { dtype: "f64", shape: [length], bytes: numbers };
      }, "Array");
    }
    const items: StateValue[] = [];
    let isFlat = true;
    for (let index = 0; index < length; index++) {
      const item = value[index];
      if (
        typeof item === "number" || typeof item === "boolean" ||
        (typeof item === "string" && item.isWellFormed())
      ) {
        items.push(item);
        continue;
      }
      isFlat &&= item === null || item === undefined;
      this.#path.push(index);
      if (item === undefined && !Object.hasOwn(value, index)) {
        throw this.#refusal("is a hole, which would come back as undefined; save null there");
      }
      items.push(this.freeze(item));
      this.#path.pop();
    }
    this.#requireOnlyElements(value, { length, ...isFlat ? { primitives: items } : {} }, "an array");
    return items;
  }

  #map(value: Map<unknown, unknown>): StateValue {
    this.#requireNoFields(value, "a Map");
    const map = new Map<StateValue, StateValue>();
    let index = 0;
    for (const [key, item] of value) {
      const frozenKey = this.#at(`key${index}`, key);
      map.set(frozenKey, this.#at(typeof key === "string" ? key : String(index), item));
      index++;
    }
    return map;
  }

  #set(value: Set<unknown>): StateValue {
    this.#requireNoFields(value, "a Set");
    const set = new Set<StateValue>();
    for (const item of value) set.add(this.#at(String(set.size), item));
    return set;
  }

  #fields(value: object): StateValue {
    if (!isPlainPrototype(Object.getPrototypeOf(value))) {
      throw this.#refusal(
        `is ${withArticle(classOf(value))} instance, which would come back as a plain object; ` +
          "give the class stateDict() and loadStateDict(), or save its fields",
      );
    }
    const fields: { [key: string]: StateValue } = {};
    for (const key of Reflect.ownKeys(value)) {
      if (typeof key === "symbol" || key === "__proto__") {
        throw this.#refusal(`has the key ${String(key)}, which cannot be kept`);
      }
      this.#path.push(key);
      this.#text(key);
      fields[key] = this.freeze(this.#own(value, key));
      this.#path.pop();
    }
    return fields;
  }

  #stateful(value: Stateful): StateValue {
    const state: unknown = value.stateDict();
    if (state instanceof Promise) {
      throw new TypeError(
        `${this.#root}${this.#place()}.stateDict() returned a promise; it has to give the state of this very moment`,
      );
    }
    return this.freeze(state);
  }

  #typedArray(value: TypedArray): StateValue {
    const view = viewNameOf(value);
    const base: unknown = Reflect.get(globalThis, view);
    if (typeof base === "function" && Object.getPrototypeOf(value) !== base.prototype) {
      throw this.#refusal(
        `is ${
          withArticle(classOf(value))
        }, which would come back as ${view}; save new ${view}(it) in its place`,
      );
    }
    return this.#refTo(value, () => {
      this.#requireOnlyElements(value, { length: value.length }, `a ${view}`);
      return {
        dtype: dtypeOfView(view),
        shape: [value.length],
        bytes: new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice(),
      };
    }, view);
  }

  #hostTensor(value: HostTensor): StateValue {
    const { dtype, shape, bytes } = value;
    const isPlain = Object.getPrototypeOf(value) === HostTensor.prototype &&
      Reflect.ownKeys(value).every((key) => key === "dtype" || key === "shape" || key === "bytes");
    if (!isPlain) throw this.#refusal("is a HostTensor with fields of its own, which would be lost");
    return this.#refTo(value, () => ({ dtype, shape, bytes: bytes.slice() }));
  }

  #at(step: string | number, value: unknown): StateValue {
    this.#path.push(step);
    const frozen = this.freeze(value);
    this.#path.pop();
    return frozen;
  }

  /** The value of an own property that anybody can see, read once. */
  #own(value: object, key: string): unknown {
    const property = Object.getOwnPropertyDescriptor(value, key);
    if (property === undefined) {
      throw this.#refusal("is a hole, which would come back as undefined; save null there");
    }
    if ("value" in property && property.enumerable === true) return property.value;
    throw this.#refusal("is an accessor or hidden property, which would come back as a plain field");
  }

  #text(value: string): string {
    if (value.isWellFormed()) return value;
    throw this.#refusal("holds a lone surrogate, which is no valid text");
  }

  #requireNoFields(value: object, what: string): void {
    if (Reflect.ownKeys(value).length > 0) throw this.#fieldsLost(value, what);
  }

  #requireOnlyElements(value: readonly unknown[] | TypedArray, known: KnownElements, what: string): void {
    if (hasFieldsOfItsOwn(value, known)) throw this.#fieldsLost(value, what);
  }

  #fieldsLost(value: object, what: string): TypeError {
    const keys = Reflect.ownKeys(value).filter((key) => key !== "length" && !/^\d+$/.test(String(key)));
    return this.#refusal(
      `is ${what} with fields of its own (${keys.map(String).join(", ")}), which would be lost`,
    );
  }

  #refusal(problem: string): TypeError {
    return new TypeError(`${this.#root}${this.#place()} ${problem}`);
  }

  #place(): string {
    return this.#path.map((step) => typeof step === "number" ? `[${step}]` : `.${step}`).join("");
  }

  #refTo(value: object, copy: () => TensorBytes, view?: string): TensorRef {
    const known = this.#refs.get(value);
    if (known !== undefined) return known;
    const { dtype, shape, bytes } = copy();
    const name = this.#nameFor(this.#place());
    const ref = view === undefined ? new TensorRef(name) : new TensorRef(name, view);
    this.#refs.set(value, ref);
    const spec: TensorSpec = { name, dtype, shape };
    this.tensors.push({ spec, bytes });
    return ref;
  }

  /** The path where it makes a good name; paths may be too long, hold anything, or be alike ("a.b" and a → b). */
  #nameFor(path: string): string {
    const prefix = `${this.#root}:`;
    const wanted = prefix + (path.startsWith(".") ? path.slice(1) : path || "value");
    let name = problemOfName(wanted) === undefined ? wanted : `${prefix}#`;
    for (let count = this.tensors.length; this.#names.has(name) || name.endsWith("#"); count++) {
      name = `${prefix}#${count}`;
    }
    this.#names.add(name);
    return name;
  }
}

/** Of `{}`, of an object without a prototype, and of the same in another realm. */
function isPlainPrototype(prototype: unknown): boolean {
  if (prototype === null || prototype === Object.prototype) return true;
  return typeof prototype === "object" && Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype, "hasOwnProperty");
}

function classOf(value: object): string {
  const constructor: unknown = Object.getPrototypeOf(value)?.constructor;
  return typeof constructor === "function" && constructor.name !== "" ? constructor.name : "class";
}
