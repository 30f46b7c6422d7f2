import { describe, expect, test } from "bun:test";
import type { HostState, Stateful, StateInput } from "../../../src/checkpoint/capture/state_types.ts";
import { StateChanges } from "../../../src/checkpoint/restore/state_changes.ts";
import { thrownBy } from "../../helpers/thrown.ts";

/** An object with a state of its own, which refuses the states of `refused`. */
class Counter implements Stateful {
  values: number[];
  readonly #refused: number | undefined;

  constructor(value: number, refused?: number) {
    this.values = [value];
    this.#refused = refused;
  }

  stateDict(): StateInput {
    return { values: this.values };
  }

  async loadStateDict(state: HostState): Promise<void> {
    const { values } = state as { values: number[] };
    // Half of it is done when it fails.
    this.values = values;
    await Promise.resolve();
    if (values[0] === this.#refused) throw new Error(`no ${values[0]}`);
  }
}

describe("state that is put back", () => {
  test("is all taken back: objects with a state, fields, arrays in place, and what was not there", async () => {
    const counter = new Counter(1);
    const array = new Float32Array([1, 2]);
    const inner = { deep: new Counter(3), plain: [4] };
    const target: { [name: string]: unknown } = { counter, array, inner, text: "a", fields: { a: 1 } };
    const changes = new StateChanges(target, {
      counter: { values: [9] },
      array: new Float32Array([8, 7]),
      inner: { deep: { values: [6] }, plain: [5], added: true },
      text: "b",
      fields: { a: 2, b: 3 },
      fresh: 1,
    });
    for (const name of ["counter", "array", "inner", "text", "fields", "fresh"]) await changes.restore(name);
    expect(counter.values).toEqual([9]);
    expect([...array]).toEqual([8, 7]);
    expect([inner.deep.values, inner.plain, inner]).toMatchObject([[6], [5], { added: true }]);
    expect(target).toMatchObject({ text: "b", fields: { a: 2, b: 3 }, fresh: 1 });
    await changes.rollback(new Error("x"));
    expect(counter.values).toEqual([1]);
    expect([...array]).toEqual([1, 2]);
    expect(inner.deep.values).toEqual([3]);
    expect(inner).toEqual({ deep: inner.deep, plain: [4] });
    expect(target).toEqual({ counter, array, inner, text: "a", fields: { a: 1 } });
    expect("fresh" in target).toBe(false);
  });

  test("an object that fails in the middle gets its own state back, and its error is the error", async () => {
    const counter = new Counter(1, 9);
    const changes = new StateChanges({ counter }, { counter: { values: [9] } });
    expect((await thrownBy(() => changes.restore("counter"))).message).toBe("no 9");
    expect(counter.values).toEqual([1]);
  });

  test("the old state of an object is copied: it may change an array that it handed out", async () => {
    const live = [1];
    const stateful: Stateful = {
      stateDict: () => live,
      loadStateDict: (state) => void live.splice(0, live.length, ...state as number[]),
    };
    const changes = new StateChanges({ stateful }, { stateful: [5, 6] });
    await changes.restore("stateful");
    expect(live).toEqual([5, 6]);
    await changes.rollback(new Error("x"));
    expect(live).toEqual([1]);
  });

  test("what cannot be put back is named, and the rest is put back all the same", async () => {
    const stubborn = new Counter(1, 1);
    const mute: Stateful = {
      stateDict: () => {
        throw new Error("not yet");
      },
      loadStateDict: () => {},
    };
    const target = { first: new Counter(2), stubborn, mute };
    const saved = { first: { values: [9] }, stubborn: { values: [9] }, mute: 0 };
    const changes = new StateChanges(target, saved);
    for (const name of Object.keys(target)) await changes.restore(name);
    const reason = new Error("the load failed");
    const error = await thrownBy(() => changes.rollback(reason)) as AggregateError;
    expect(error.message).toContain('could not be put back: "mute", "stubborn"');
    expect(error.errors.map(String)).toEqual(["Error: the load failed", "Error: not yet", "Error: no 1"]);
    expect(error.cause).toBe(reason);
    expect(target.first.values).toEqual([2]);
  });

  test("a target that takes nothing fails before anything else is done", async () => {
    const changes = new StateChanges(Object.freeze({ epoch: 1 }), { epoch: 2 });
    expect((await thrownBy(() => changes.restore("epoch"))).name).toBe("TypeError");
  });
});
