import { Buffer } from "node:buffer";
import { describe, expect, test } from "bun:test";
import { freezeState, thawState } from "../../../src/checkpoint/capture/host_state.ts";
import type { HostState, StateInput } from "../../../src/checkpoint/capture/state_types.ts";
import { decodeState } from "../../../src/container/format/decode_state.ts";
import { encodeState } from "../../../src/container/format/encode_state.ts";
import { TensorRef } from "../../../src/container/format/state_tree.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { cpuMs } from "../../helpers/cpu_time.ts";
import { thrownBy } from "../../helpers/thrown.ts";

/** Saved and loaded again, without a file around it. */
async function roundTrip(value: unknown): Promise<HostState> {
  const { state, tensors } = freezeState(value as StateInput);
  return await thawState(decodeState(encodeState(state)), (name) => {
    const found = tensors.find(({ spec }) => spec.name === name);
    if (found === undefined) throw new Error(`no tensor ${name}`);
    return Promise.resolve({ dtype: found.spec.dtype, shape: found.spec.shape, bytes: found.bytes });
  });
}

function withField<T extends object>(value: T, name: string | symbol = "extra"): T {
  return Object.defineProperty(value, name, {
    value: 1,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}

function withGetter<T extends object>(value: T, name: string | number): T {
  return Object.defineProperty(value, name, { get: () => 1, enumerable: true, configurable: true });
}

/** Milliseconds of processor time. */
function spent(work: () => unknown): number {
  const before = cpuMs();
  work();
  return cpuMs() - before;
}

class Sub extends Map<string, number> {}
class SubSet extends Set<number> {}
class SubArray extends Array<number> {}
class SubBytes extends Uint8Array {}
class SubDate extends Date {}
class Model {
  readonly weight = 1;
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index / 7);
const texts = (count: number): string[] => Array.from({ length: count }, (_, index) => `step: ${index}`);

describe("a state that would not come back whole", () => {
  const refused: [string, () => unknown, string][] = [
    ["a field on a short array", () => withField([1, 2]), "fields of its own (extra)"],
    ["a field on an array of 100", () => withField(numbers(100)), "fields of its own (extra)"],
    ["a field on an array of 100 texts", () => withField(texts(100)), "fields of its own (extra)"],
    ["a field on a long array of numbers", () => withField(numbers(5000)), "fields of its own (extra)"],
    ["a field on a long array of texts", () => withField(texts(5000)), "fields of its own (extra)"],
    ["a field on a long array of objects", () => withField(texts(2000).map((a) => ({ a }))), "(extra)"],
    [
      "a field on a typed array",
      () => withField(new Float32Array(4)),
      "a Float32Array with fields of its own (extra)",
    ],
    [
      "a field on a long typed array",
      () => withField(new Float32Array(100_000)),
      "fields of its own (extra)",
    ],
    ["a field on a Map", () => withField(new Map([[1, 2]])), "a Map with fields of its own (extra)"],
    ["a field on a Set", () => withField(new Set([1])), "a Set with fields of its own (extra)"],
    ["a field on a Date", () => withField(new Date(0)), "a Date with fields of its own (extra)"],
    ["a field on a host tensor", () => withField(HostTensor.from([1])), "HostTensor with fields of its own"],
    ["a symbol on an array", () => withField([1], Symbol("tag")), "fields of its own (Symbol(tag))"],
    [
      "a symbol on a long array",
      () => withField(numbers(2000), Symbol("tag")),
      "fields of its own (Symbol(tag))",
    ],
    ["a symbol in an object", () => withField({}, Symbol("tag")), "Symbol(tag)"],
    ["a result of exec", () => /a(b)/.exec("ab"), "fields of its own (index, input"],
    ["a subclass of Map", () => new Sub(), "is a Sub instance"],
    ["a subclass of Set", () => new SubSet(), "is a SubSet instance"],
    ["a subclass of Array", () => SubArray.from([1]), "an array of the class SubArray"],
    ["a subclass of Uint8Array", () => new SubBytes(2), "is a SubBytes, which would come back as Uint8Array"],
    [
      "a Buffer",
      () => Buffer.from([1, 2]),
      "is a Buffer, which would come back as Uint8Array; save new Uint8Array(it)",
    ],
    ["a subclass of Date", () => new SubDate(0), "is a SubDate instance"],
    ["an instance of a class", () => new Model(), "is a Model instance"],
    ["an object that inherits fields", () => Object.create({ a: 1 }), "instance"],
    [
      "an object over one without a prototype",
      () => Object.create(Object.create(null, { a: { value: 1 } })),
      "instance",
    ],
    ["a getter", () => ({
      get loss() {
        return 1;
      },
    }), "where.loss is an accessor"],
    [
      "a hidden property",
      () => Object.defineProperty({}, "a", { value: 1 }),
      "where.a is an accessor or hidden",
    ],
    [
      "a setter",
      () => Object.defineProperty({}, "a", { set: () => {}, enumerable: true }),
      "where.a is an accessor",
    ],
    [
      "a getter among many fields",
      () => withGetter(Object.fromEntries(texts(200).map((text) => [text, 1])), "late"),
      "where.late is an accessor",
    ],
    ["a getter at an index", () => withGetter([1, 2, 3], 1), "where[1] is an accessor"],
    [
      "a hidden index",
      () => Object.defineProperty([1, 2], 1, { enumerable: false }),
      "where[1] is an accessor or hidden",
    ],
    [
      "a hidden field on a short array",
      () => Object.defineProperty([1], "a", { value: 1 }),
      "fields of its own (a)",
    ],
    ["a hole", () => [1, , 3], "where[1] is a hole"],
    ["a hole in a long array", () => {
      const list = numbers(3000);
      delete list[2999];
      return list;
    }, "where[2999] is a hole"],
    ["a long array of nothing but holes", () => new Array(4_000_000_000), "where[0] is a hole"],
    ["a function", () => [() => 1], "where[0] is a function"],
    ["a symbol", () => Symbol("a"), "where is a symbol"],
    ["a WeakMap", () => new WeakMap(), "is a WeakMap instance"],
    ["an Error", () => new Error("a"), "is an Error instance"],
    ["an expression", () => /a/, "is a RegExp instance"],
    ["a boxed number", () => Object(1), "is a Number instance"],
    ["a boxed text", () => Object("a"), "is a String instance"],
    ["a promise", () => Promise.resolve(1), "is a Promise instance"],
    ["an ArrayBuffer", () => new ArrayBuffer(1), "is an ArrayBuffer instance"],
    ["the arguments of a call", () =>
      (function () {
        return arguments;
      })(), "where"],
    ["half a surrogate pair", () => "\ud800", "lone surrogate"],
    ["a key of half a surrogate pair", () => ({ "\ud800": 1 }), "lone surrogate"],
    ["a very long bigint", () => 10n ** 4096n, "digits"],
  ];
  for (const [what, make, problem] of refused) {
    test(`is refused with its place: ${what}`, async () => {
      for (const value of [{ where: make() }, { list: [{ where: make() }] }]) {
        const { name, message } = await thrownBy(() => freezeState(value as StateInput));
        expect(`${name}: ${message}`).toContain("TypeError: state.");
        expect(message).toContain(".where");
        expect(message).toContain(problem);
      }
    });
  }

  test("of a longer array an accessor at an index comes back as its value", async () => {
    for (const count of [16, 100, 5000]) {
      const list = withGetter(texts(count), 3) as unknown[];
      const back = await roundTrip({ list }) as { list: unknown[] };
      expect(back.list.length).toBe(count);
      expect(back.list[3]).toBe(1);
    }
  });

  test("a proxy is read once: what was looked at is what is kept", async () => {
    let reads = 0;
    const lying = new Proxy({ a: 1 }, {
      getOwnPropertyDescriptor: () => ({
        value: ++reads,
        enumerable: true,
        configurable: true,
        writable: true,
      }),
    });
    expect(await roundTrip({ lying })).toEqual({ lying: { a: 1 } });
  });
});

describe("a long array of numbers", () => {
  test("is stored as a tensor of f64 and comes back as an array, -0 included", async () => {
    const list = [...numbers(5000), -0, Number.MAX_VALUE, 5e-324, -1.5];
    const { state, tensors } = freezeState({ history: list });
    expect(tensors.map(({ spec }) => spec)).toEqual([{
      name: "state:history",
      dtype: "f64",
      shape: [list.length],
    }]);
    expect(state).toEqual({ history: new TensorRef("state:history", "Array") });
    const { history } = await roundTrip({ history: list }) as { history: number[] };
    expect(Array.isArray(history)).toBe(true);
    expect(history.length).toBe(list.length);
    expect(history.every((value, index) => Object.is(value, list[index]))).toBe(true);
  });

  test("begins at 1024; what is not a finite number stays where it was", () => {
    const stored = (list: readonly unknown[]): number => freezeState({ list } as StateInput).tensors.length;
    expect(stored(numbers(1024))).toBe(1);
    expect(stored(numbers(1023))).toBe(0);
    for (const odd of [NaN, Infinity, -Infinity, null, undefined, "1", 1n, true]) {
      expect(stored([...numbers(2000), odd])).toBe(0);
    }
  });

  test("keeps NaN and infinities as before", async () => {
    const list = [...numbers(1500), NaN, -Infinity];
    expect(await roundTrip(list)).toEqual(list);
  });

  test("in two places is one array, in a Map, a Set and an array too", async () => {
    const list = numbers(2000);
    const { tensors } = freezeState({
      list,
      map: new Map([["k", list]]),
      set: new Set([list]),
      nested: [[list]],
    });
    expect(tensors.length).toBe(1);
    const back = await roundTrip({ list, nested: [[list]] }) as { list: number[]; nested: number[][][] };
    expect(back.nested[0]?.[0]).toBe(back.list);
  });

  test("of another dtype than f64 in a file is an error that names it", async () => {
    const read = () => Promise.resolve({ dtype: "u8" as const, shape: [3], bytes: new Uint8Array(3) });
    const error = await thrownBy(() => thawState(new TensorRef("state:a", "Array"), read));
    expect(error.code).toBe("invalid_container");
    expect(error.message).toContain('"state:a" is a tensor of u8, expected f64');
  });
});

describe("freezing", () => {
  test("takes the copy in the call: what changes later does not get in", () => {
    const value = { list: numbers(2000), short: [1, 2], fields: { a: 1 }, map: new Map([["a", [1]]]) };
    const { state, tensors } = freezeState(value);
    value.list[0] = 99;
    value.short.push(3);
    value.fields.a = 2;
    value.map.get("a")?.push(2);
    expect(new Float64Array(tensors[0]?.bytes.slice().buffer ?? new ArrayBuffer(0))[0]).toBe(0);
    expect(state).toEqual({
      list: new TensorRef("state:list", "Array"),
      short: [1, 2],
      fields: { a: 1 },
      map: new Map([["a", [1]]]),
    });
  });

  const trees: [string, () => StateInput][] = [
    ["400 000 numbers", () => numbers(400_000)],
    ["100 000 fields", () => Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i]))],
    ["a Map of 100 000", () => new Map(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i]))],
    [
      "20 000 records",
      () => Array.from({ length: 20_000 }, (_, i) => ({ id: i, name: `n${i}`, at: [i, i + 1] })),
    ],
    ["1 000 lists of 100", () => Array.from({ length: 1000 }, () => numbers(100))],
    ["100 000 texts", () => texts(100_000)],
  ];
  for (const [what, make] of trees) {
    // The bench prints the ratio; this only ends what is slow by its nature, such as a text for each index.
    test(`takes processor time like a clone: ${what}`, () => {
      const value = make();
      let clones = 0;
      let freezes = 0;
      for (let round = 0; round < 5; round++) {
        clones += spent(() => structuredClone(value));
        freezes += spent(() => freezeState(value));
      }
      expect(freezes).toBeLessThan(6 * clones + 100);
    });
  }
});
