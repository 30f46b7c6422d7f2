import { describe, expect, test } from "bun:test";
import { leastBytes, planMemory, planSideBySide, regionsOf } from "../../src/graph/memory_plan.ts";
import type { Region, Step } from "../../src/graph/op.ts";

let lastId = 0;

function region(byteLength: number): Region {
  return { id: lastId++, label: `region ${lastId}`, byteLength };
}

function step(reads: readonly Region[], writes: readonly Region[]): Step {
  return {
    dispatch: {
      label: "step",
      code: "",
      constants: {},
      bindings: [...reads, ...writes],
      workgroups: [1, 1, 1],
    },
    writes,
  };
}

const LARGE = 2 ** 31;

/** Fails unless no two regions that are needed at once share bytes, and no step has a buffer to read and to write. */
function expectSound(
  regions: readonly Region[],
  steps: readonly Step[],
  kept: ReadonlySet<Region>,
  limit = LARGE,
): void {
  const { addresses, arenaBytes } = planMemory(regions, steps, kept, limit);
  expect(leastBytes(regions, steps, kept)).toBeLessThanOrEqual(
    arenaBytes.reduce((sum, bytes) => sum + bytes, 0),
  );
  const at = (wanted: Region): { arena: number; offset: number } => {
    const address = addresses.get(wanted);
    if (address === undefined) throw new Error(`${wanted.label} has no address`);
    return address;
  };
  const livesAt = (wanted: Region, index: number): boolean => {
    const uses = steps.flatMap((candidate, at) => regionsOf(candidate).includes(wanted) ? [at] : []);
    const last = kept.has(wanted) ? steps.length : Math.max(...uses);
    return Math.min(...uses) <= index && index <= last;
  };
  for (const one of regions) {
    expect(at(one).offset % 256).toBe(0);
    expect(at(one).offset + one.byteLength).toBeLessThanOrEqual(arenaBytes[at(one).arena] ?? 0);
    for (const other of regions) {
      const share = one !== other && at(one).arena === at(other).arena &&
        at(one).offset < at(other).offset + other.byteLength &&
        at(other).offset < at(one).offset + one.byteLength;
      const together = Array.from({ length: steps.length + 1 }, (_, index) => index)
        .some((index) => livesAt(one, index) && livesAt(other, index));
      expect(share && together).toBe(false);
    }
  }
  for (const planned of steps) {
    for (const bound of regionsOf(planned)) {
      for (const written of planned.writes) {
        if (bound !== written && addresses.has(bound) && addresses.has(written)) {
          expect(at(bound).arena).not.toBe(at(written).arena);
        }
      }
    }
  }
}

describe("planMemory", () => {
  test("a region lives as long as any part of it is bound", () => {
    const [source, packed, out] = [region(512), region(1024), region(512)];
    const bindPart = (offset: number, to: Region): Step => {
      const { dispatch } = step([], [to]);
      const part = { region: packed, offset, byteLength: 256 };
      return { dispatch: { ...dispatch, bindings: [part, to] }, writes: [to] };
    };
    const steps = [step([source], [packed]), bindPart(0, out), bindPart(256, out)];
    expect(regionsOf(bindPart(0, out))).toEqual([packed, out]);
    expectSound([source, packed, out], steps, new Set());
  });

  test("a chain of any length takes two buffers, each as large as one value", () => {
    const chain = Array.from({ length: 10 }, () => region(1000));
    const steps = chain.slice(1).map((next, index) => step(chain.slice(index, index + 1), [next]));
    expectSound(chain, steps, new Set());
    expect(planMemory(chain, steps, new Set(), LARGE).arenaBytes).toEqual([1024, 1024]);
  });

  test("a kept value is not overwritten by later steps", () => {
    const chain = Array.from({ length: 6 }, () => region(512));
    const steps = chain.slice(1).map((next, index) => step(chain.slice(index, index + 1), [next]));
    const kept = new Set(chain.slice(1, 2));
    expectSound(chain, steps, kept);
    const total = planMemory(chain, steps, kept, LARGE).arenaBytes.reduce((sum, bytes) => sum + bytes, 0);
    expect(total).toBe(3 * 512);
  });

  test("a value that is read long after it was made keeps its bytes until then", () => {
    const [early, a, b, c] = [region(256), region(256), region(256), region(256)];
    expectSound([early, a, b, c], [
      step([], [early]),
      step([early], [a]),
      step([a], [b]),
      step([b, early], [c]),
    ], new Set());
  });

  test("three values of one step are in three buffers when each is read and written somewhere", () => {
    const [x, h, y] = [region(256), region(256), region(256)];
    const steps = [step([], [x]), step([x], [h]), step([x, h], [y])];
    expectSound([x, h, y], steps, new Set());
    expect(planMemory([x, h, y], steps, new Set(), LARGE).arenaBytes.length).toBe(3);
  });

  test("a dispatch that writes two values does not read from their buffer", () => {
    const [x, one, two, sum] = [region(256), region(300), region(4), region(4)];
    expectSound(
      [x, one, two, sum],
      [step([], [x]), step([x], [one, two]), step([one, two], [sum])],
      new Set(),
    );
  });

  test("a value that is written in two steps is apart from what the second reads", () => {
    const [twice, other] = [region(256), region(256)];
    expectSound([twice, other], [step([], [twice]), step([], [other]), step([other], [twice])], new Set());
  });

  test("buffers stay below the adapter's limit", () => {
    const regions = Array.from({ length: 7 }, () => region(1000));
    const steps = [...regions.map((one) => step([], [one])), step(regions, [])];
    expectSound(regions, steps, new Set(), 2048);
    const { arenaBytes } = planMemory(regions, steps, new Set(), 2048);
    expect(Math.max(...arenaBytes)).toBeLessThanOrEqual(2048);
    expect(arenaBytes.length).toBe(4);
  });

  test("regions with an address elsewhere may occur in steps", () => {
    const [outside, own] = [region(256), region(256)];
    const { addresses } = planMemory([own], [step([outside], [own])], new Set(), LARGE);
    expect([...addresses.keys()]).toEqual([own]);
  });

  test("random programs are planned soundly, and the same twice", () => {
    let state = 1;
    const next = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor(state / 2 ** 32 * below);
    };
    for (let round = 0; round < 30; round++) {
      const made: Region[] = [];
      const steps: Step[] = [];
      for (let index = 0; index < 15; index++) {
        const reads = new Set(
          Array.from({ length: Math.min(made.length, next(4)) }, () => made[next(made.length)]),
        );
        const writes = Array.from({ length: 1 + next(2) }, () => region(4 + 4 * next(500)));
        steps.push(step([...reads].filter((read) => read !== undefined), writes));
        made.push(...writes);
      }
      const kept = new Set(made.filter(() => next(5) === 0));
      expectSound(made, steps, kept);
      expect(planMemory(made, steps, kept, LARGE)).toEqual(planMemory(made, steps, kept, LARGE));
    }
  });
});

describe("planSideBySide", () => {
  test("regions follow each other at multiples of 256", () => {
    const regions = [region(4), region(300), region(256)];
    const { addresses, arenaBytes } = planSideBySide(regions, LARGE);
    expect(regions.map((one) => addresses.get(one)?.offset)).toEqual([0, 256, 768]);
    expect(arenaBytes).toEqual([1024]);
  });

  test("a new buffer begins where the limit would be passed", () => {
    const regions = [region(512), region(512), region(512)];
    expect(planSideBySide(regions, 1024).arenaBytes).toEqual([1024, 512]);
  });
});

describe("leastBytes", () => {
  test("is the most that lives at one time: a region from its first to its last use, or to the end", () => {
    const [a, b, c] = [region(1000), region(200), region(30)];
    const steps = [step([], [a]), step([a], [b]), step([b], [c])];
    expect(leastBytes([a, b, c], steps, new Set())).toBe(1200);
    expect(leastBytes([a, b, c], steps, new Set([a]))).toBe(1230);
    expect(leastBytes([b, c], steps, new Set())).toBe(230);
    expect(leastBytes([], steps, new Set())).toBe(0);
  });
});
