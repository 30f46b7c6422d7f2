import { describe, expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { checkedMemoryBytes, machineMemory, needsText, shortageOf } from "../../src/gpu/memory_room.ts";

const ROOM = { adapterName: "a GPU", limit: 8e9, taken: 0 };

describe("the room on a device", () => {
  test("is enough for what just fits, beside what is there", () => {
    expect(shortageOf("It", { all: 8e9 }, ROOM)).toBe(undefined);
    expect(shortageOf("It", { all: 7e9 }, { ...ROOM, taken: 1e9 })).toBe(undefined);
    expect(shortageOf("It", { all: 7e9 }, { ...ROOM, taken: 1e9 + 1 })).toBeInstanceOf(CairnError);
  });

  test("is refused with the sum, what takes how much, and what to do", () => {
    const needs = { buffers: 0, parameters: 4e9, "optimizer.m": 4.5e9 };
    const error = shortageOf("The run", needs, { ...ROOM, taken: 5e8 });
    expect(error?.code).toBe("out_of_memory");
    expect(error?.details).toEqual({ limit: 8e9, value: 8.5e9 });
    expect(error?.message).toBe(
      'The run does not fit: it takes 8.50 GB: optimizer.m 4.50 GB, parameters 4.00 GB, and "a GPU" has 8.00 GB, ' +
        "of which 500 MB are taken; make it smaller, or say with the option memoryBytes that there is more",
    );
  });

  test("has needs of one kind without a list", () => {
    expect(needsText({ workspace: 1e6, uploads: 0 })).toBe("1.00 MB");
  });

  test("of this machine is what its memory is", () => {
    expect(machineMemory()).toBeGreaterThan(1e8);
  });

  test("is a whole number of bytes", () => {
    expect(checkedMemoryBytes(undefined)).toBe(undefined);
    for (const wrong of [0, -1, 1.5, NaN, Infinity]) {
      expect(() => checkedMemoryBytes(wrong)).toThrow(RangeError);
    }
  });
});
