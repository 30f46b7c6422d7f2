import { describe, expect, test } from "bun:test";
import { freezeState, thawState } from "../../../src/checkpoint/capture/host_state.ts";
import type { HostState, StateInput } from "../../../src/checkpoint/capture/state_types.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { LARGE_TREES } from "../../container/large_trees.ts";
import { turnsDuring } from "../../helpers/turns.ts";

/** Through the form that goes into a container. */
async function roundTrip(value: StateInput): Promise<HostState> {
  const { state, tensors } = freezeState(value);
  return await thawState(state, (name) => {
    const found = tensors.find(({ spec }) => spec.name === name);
    if (found === undefined) throw new Error(`No tensor ${name}`);
    // At an odd address, as in the middle of a chunk.
    const shifted = new Uint8Array(found.bytes.byteLength + 1);
    shifted.set(found.bytes, 1);
    return Promise.resolve({ dtype: found.spec.dtype, shape: found.spec.shape, bytes: shifted.subarray(1) });
  });
}

function namesOf(value: StateInput): string[] {
  return freezeState(value).tensors.map(({ spec }) => spec.name);
}

describe("host state", () => {
  test("gives back what JavaScript has, each kind as it was", async () => {
    const value = {
      undefinedField: undefined,
      nothing: null,
      numbers: [0, -0, NaN, Infinity, 1e300],
      big: 12345678901234567890n,
      when: new Date(0),
      map: new Map<StateInput, StateInput>([["a", 1], [2, new Set([1, "x"])]]),
      empty: [{}, [], new Map(), new Set(), ""],
    };
    const restored: unknown = await roundTrip(value);
    expect(restored).toEqual(value);
    const numbers = (await roundTrip(value.numbers)) as number[];
    expect(Object.is(numbers[1], -0)).toBe(true);
  });

  test("gives back every kind of typed array, with its bits", async () => {
    const arrays = [
      new Int8Array([-1, 2]),
      new Uint8Array([255]),
      new Uint8ClampedArray([255, 0]),
      new Int16Array([-2]),
      new Uint16Array([65535]),
      new Int32Array([-3]),
      new Uint32Array([4e9]),
      new Float32Array([1.5, -0]),
      new Float64Array([Math.PI, NaN]),
      new BigInt64Array([-1n]),
      new BigUint64Array([2n ** 64n - 1n]),
      new Float32Array(0),
    ];
    const restored = await roundTrip(arrays) as typeof arrays;
    for (const [index, array] of arrays.entries()) {
      expect(restored[index]?.constructor).toBe(array.constructor);
      expect([...restored[index] ?? []]).toEqual([...array]);
    }
  });

  test("gives back host tensors with dtype and shape", async () => {
    const tensor = HostTensor.from([[1, 2], [3, 4]], [2, 2], "bf16");
    const { nested } = await roundTrip({ nested: [tensor] }) as { nested: HostTensor[] };
    expect(nested[0]).toBeInstanceOf(HostTensor);
    expect(nested[0]?.equals(tensor)).toBe(true);
  });

  test("stores an array that is in two places once, and it is one array again", async () => {
    const shared = new Float32Array([1]);
    expect(namesOf({ a: shared, b: [shared] })).toEqual(["state:a"]);
    const { a, b } = await roundTrip({ a: shared, b: [shared] }) as { a: Float32Array; b: Float32Array[] };
    expect(b[0]).toBe(a);
  });

  test("stores of a view its own bytes only, not the buffer behind it", () => {
    const [tensor] = freezeState({ view: new Uint8Array(1000).subarray(10, 12) }).tensors;
    expect(tensor?.bytes.byteLength).toBe(2);
    expect(tensor?.bytes.buffer.byteLength).toBe(2);
  });

  test("names tensors by their path, and finds another name where that would be none or a second one", () => {
    const array = (): Float32Array => new Float32Array(1);
    expect(namesOf({ history: { loss: array() }, list: [array()] })).toEqual([
      "state:history.loss",
      "state:list[0]",
    ]);
    expect(namesOf({ a: { b: array() }, "a.b": array() })).toEqual(["state:a.b", "state:#1"]);
    expect(namesOf({ "#1": array(), ["x".repeat(2000)]: array(), "a\nb": array() }))
      .toEqual(["state:#1", "state:#2", "state:#3"]);
    expect(namesOf(array())).toEqual(["state:value"]);
  });

  test("copies at once: later changes do not get in", async () => {
    const value = { list: [1], map: new Map([["a", 1]]), array: new Float32Array([1]), when: new Date(1) };
    const { state, tensors } = freezeState(value);
    value.list.push(2);
    value.map.set("b", 2);
    value.array[0] = 2;
    value.when.setTime(2);
    const thawed = await thawState(
      state,
      () => Promise.resolve({ dtype: "f32", shape: [1], bytes: tensors[0]?.bytes ?? new Uint8Array() }),
    );
    expect(thawed).toEqual({
      list: [1],
      map: new Map([["a", 1]]),
      array: new Float32Array([1]),
      when: new Date(1),
    });
  });

  test("asks a stateful object for its state, wherever it is", async () => {
    const loader = { stateDict: () => ({ epoch: 2 }), loadStateDict: () => {} };
    expect(await roundTrip({ parts: [loader] })).toEqual({ parts: [{ epoch: 2 }] });
    const late = { stateDict: () => Promise.resolve({}), loadStateDict: () => {} };
    expect(() => freezeState({ late } as unknown as StateInput)).toThrow(
      "state.late.stateDict() returned a promise; it has to give the state of this very moment",
    );
  });

  test("refuses what cannot be saved, with its place, before anything is written", () => {
    class Model {}
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const getter = Object.defineProperty({}, "x", { get: () => 1, enumerable: true });
    const bad: [unknown, string][] = [
      [{ a: [() => 1] }, "state.a[0]"],
      [{ a: Symbol("x") }, "state.a"],
      [{ model: new Model() }, "state.model"],
      [cycle, "state.self"],
      [getter, "state.x"],
      [{ map: new Map([["k", new Model()]]) }, "state.map"],
      [{ a: "\ud800" }, "state.a"],
      [new DataView(new ArrayBuffer(1)), "state"],
      [JSON.parse('{"__proto__": 1}'), "state"],
    ];
    for (const [value, place] of bad) {
      let message = "";
      try {
        freezeState(value as StateInput);
      } catch (error) {
        message = error instanceof TypeError ? error.message : `no TypeError: ${error}`;
      }
      expect(message).toContain(place);
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe("a large state", () => {
  for (const [what, treeOf] of LARGE_TREES) {
    test(`leaves the event loop its turns while it is brought back: ${what}`, async () => {
      const tree = treeOf(100_000);
      const read = (): Promise<never> => Promise.reject(new Error("there are no tensors"));
      const turns = await turnsDuring(async () => expect(await thawState(tree, read)).toEqual(tree as never));
      expect(turns).toBeGreaterThanOrEqual(150);
    });
  }
});
