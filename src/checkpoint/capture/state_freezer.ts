import { kindOf, withArticle } from "../../base/options/kind_of.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import {
  MAX_BIGINT_DIGITS,
  MAX_STATE_DEPTH,
  type StateValue,
  TensorRef,
} from "../../container/format/state_tree.ts";
import { problemOfName } from "../../container/format/tensor_name.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import {
  type HostBytes,
  isStateful,
  type Stateful,
  type StateRoot,
  type TensorBytes,
} from "./state_types.ts";
import { FEW_ELEMENTS, hasFieldsOfItsOwn, type KnownElements } from "../../base/own_fields.ts";
import { bytesOfNumbers, dtypeOfView, isTypedArray, type TypedArray, viewNameOf } from "./typed_arrays.ts";

const SMALL_OBJECT_FIELDS = 64;
const HOLE = "is a hole, which would come back as undefined; save null there";
const ODD_PROPERTY = "is an accessor or hidden property, which would come back as a plain field";

/**
 * Copies a state in one pass, in the tick of the call. What would come back as something else is refused, and the
 * error says where it is: each value is looked at once, and what was looked at is what is kept.
 */
export class StateFreezer {
  readonly tensors: HostBytes[] = [];
  readonly #root: StateRoot;
  readonly #refs = new Map<object, TensorRef>();
  readonly #names = new Set<string>();
  /** The objects around the one at hand. */
  readonly #above: object[] = [];
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
    if (this.#above.includes(value)) throw this.#refusal("contains itself; a state has no cycles");
    this.#above.push(value);
    if (!isState) this.#depth++;
    const frozen = isState ? this.#stateful(value) : this.#container(value);
    if (!isState) this.#depth--;
    this.#above.pop();
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
    return length < FEW_ELEMENTS ? this.#shortArray(value) : this.#longArray(value);
  }

  /** Whether an index is an accessor is asked of short arrays only: in long ones it takes longer than all else. */
  #shortArray(value: readonly unknown[]): StateValue {
    const { length } = value;
    const items = new Array<StateValue>(length);
    for (let index = 0; index < length; index++) {
      const property = Object.getOwnPropertyDescriptor(value, index);
      if (!isField(property)) {
        this.#path.push(index);
        throw this.#refusal(property === undefined ? HOLE : ODD_PROPERTY);
      }
      const item: unknown = property.value;
      items[index] = isPlainLeaf(item) ? item : this.#at(index, item);
    }
    this.#requireOnlyElements(value, { length }, "an array");
    return items;
  }

  #longArray(value: readonly unknown[]): StateValue {
    const { length } = value;
    for (let index = 0; index < length; index++) {
      if (value[index] !== undefined || Object.hasOwn(value, index)) continue;
      this.#path.push(index);
      throw this.#refusal(HOLE);
    }
    // A copy in one piece takes no more memory than it needs.
    const items = [...value] as StateValue[];
    let isFlat = true;
    for (let index = 0; index < length; index++) {
      const item: unknown = items[index];
      if (isPlainLeaf(item)) continue;
      isFlat &&= item === undefined;
      items[index] = this.#at(index, item);
    }
    this.#requireOnlyElements(value, { length, primitives: isFlat ? items : undefined }, "an array");
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
    const names = this.#plainNames(value);
    return names.length <= SMALL_OBJECT_FIELDS
      ? this.#smallObject(value, names)
      : this.#largeObject(value, names);
  }

  /** Copying a small object in one piece is fastest. */
  #smallObject(value: object, names: readonly string[]): StateValue {
    for (const name of names) this.#field(value, name);
    const fields = { ...value } as { [name: string]: StateValue };
    for (const name of names) {
      const item: unknown = fields[name];
      if (!isPlainLeaf(item)) fields[name] = this.#at(name, item);
    }
    return fields;
  }

  /** Of a large object, each property is asked for once: that takes longer than all else. */
  #largeObject(value: object, names: readonly string[]): StateValue {
    const fields: { [name: string]: StateValue } = {};
    for (const name of names) {
      const item = this.#field(value, name);
      fields[name] = isPlainLeaf(item) ? item : this.#at(name, item);
    }
    return fields;
  }

  #stateful(value: Stateful): StateValue {
    const state: unknown = value.stateDict();
    if (state instanceof Promise) {
      throw new TypeError(
        `${this.#root}${this.#pathText()}.stateDict() returned a promise; it has to give the state of this very moment`,
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

  /**
   * The names of an object that has no other keys. Names and symbols are listed apart: V8 takes ten times as long to
   * list both of a small object at once.
   */
  #plainNames(value: object): string[] {
    const names = Object.getOwnPropertyNames(value);
    const [symbol] = Object.getOwnPropertySymbols(value);
    const odd = symbol ?? (names.includes("__proto__") ? "__proto__" : undefined);
    if (odd !== undefined) throw this.#refusal(`has the key ${String(odd)}, which cannot be kept`);
    return names;
  }

  /** What a field holds, once it is sure that it would come back as it is. */
  #field(value: object, name: string): unknown {
    if (!name.isWellFormed()) this.#at(name, name);
    const property = Object.getOwnPropertyDescriptor(value, name);
    if (isField(property)) return property.value;
    this.#path.push(name);
    throw this.#refusal(ODD_PROPERTY);
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
    return new TypeError(`${this.#root}${this.#pathText()} ${problem}`);
  }

  #pathText(): string {
    return this.#path.map((step) => typeof step === "number" ? `[${step}]` : `.${step}`).join("");
  }

  #refTo(value: object, copy: () => TensorBytes, view?: string): TensorRef {
    const known = this.#refs.get(value);
    if (known !== undefined) return known;
    const { dtype, shape, bytes } = copy();
    const name = this.#nameFor(this.#pathText());
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

/** Whether a property is a field that anybody can see. */
function isField(property: PropertyDescriptor | undefined): property is PropertyDescriptor {
  return property !== undefined && "value" in property && property.enumerable === true;
}

/** Whether a value is kept as it is, as most are. */
function isPlainLeaf(value: unknown): value is null | boolean | number | string {
  return typeof value === "number" || value === null || typeof value === "boolean" ||
    (typeof value === "string" && value.isWellFormed());
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
