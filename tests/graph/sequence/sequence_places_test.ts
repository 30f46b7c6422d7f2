import { describe, expect, test } from "bun:test";
import * as ops from "../../../src/graph/ops.ts";
import { type SequenceFound, sequenceOf } from "../../../src/graph/sequence/sequence_places.ts";
import type { Value } from "../../../src/graph/value.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";

const COUNT = 3;
/** `[batch, positions, width]`. */
const x = ops.input("x", "f32", [2, COUNT, 8]);
const weight = ops.parameter("weight", "f32", [5, 8]);
const rows = ops.constant(HostTensor.from(new Float32Array(COUNT * 8), [COUNT, 8]));

function found(value: Value, isWhole = false): SequenceFound {
  return sequenceOf(value, { count: COUNT, inputs: new Map([[x, 1]]), isWhole });
}

/** `axis` or `axis/within` of what has the positions at one place; else what it is. */
function placeOf(value: Value, isWhole = false): string {
  const result = found(value, isWhole);
  if (result.kind !== "each") return result.kind;
  const { axis, within } = result.place;
  return within === 1 ? String(axis) : `${axis}/${within}`;
}

describe("where the positions of a sequence are", () => {
  test("IN-03 is known through views, reads and elementwise ops", () => {
    const heads = ops.transpose(ops.reshape(x, [2, COUNT, 2, 4]), [0, 2, 1, 3]);
    expect(placeOf(ops.add(ops.mul(x, 2), ops.reshape(ops.slice(weight, { end: 1 }), [8])))).toBe("1");
    expect(placeOf(heads)).toBe("2");
    expect(placeOf(ops.reshape(x, [2 * COUNT, 8]))).toBe("0");
    expect(placeOf(ops.reshape(x, [2, COUNT * 8]))).toBe("1/8");
    expect(placeOf(ops.reshape(ops.reshape(x, [2, COUNT * 8]), [2, COUNT, 8]))).toBe("1");
    expect(placeOf(ops.slice(x, { axis: 2, start: 3 }))).toBe("1");
    expect(placeOf(ops.concat([x, ops.flip(x, { axes: 2 })], { axis: 2 }))).toBe("1");
    expect(placeOf(ops.add(x, ops.ones([2, COUNT, 8])))).toBe("1");
    expect(placeOf(weight)).toBe("none");
  });

  test("IN-03 is known through products, norms, reductions and indices", () => {
    expect(placeOf(ops.matmul(x, weight, { transposeB: true }))).toBe("1");
    expect(
      placeOf(ops.matmul(ops.transpose(x, [1, 0, 2]), ops.reshape(weight, [1, 5, 8]), { transposeB: true })),
    )
      .toBe("0");
    const perHead = ops.parameter("perHead", "f32", [2, 4, 4]);
    const heads = ops.transpose(ops.reshape(x, [2, COUNT, 2, 4]), [0, 2, 1, 3]);
    expect(placeOf(ops.matmul(heads, perHead))).toBe("2");
    expect(placeOf(ops.layerNorm(x, { normalizedShape: [8] }))).toBe("1");
    expect(placeOf(ops.softmax(x))).toBe("1");
    expect(placeOf(ops.sum(x, { axes: [0, 2] }))).toBe("0");
    expect(placeOf(ops.argmax(x))).toBe("1");
    expect(placeOf(ops.take(weight, ops.argmax(x, { axis: 2 })))).toBe("1");
    expect(placeOf(ops.take(x, ops.input("i", "u32", [2, 2]), { axis: 2 }))).toBe("1");
    expect(placeOf(ops.topK(x, 2).values)).toBe("1");
  });

  test("IN-03 is mixed by what looks at other positions, and that is named", () => {
    const mixing: Record<string, Value> = {
      mean: ops.mean(x, { axes: 1 }),
      softmax: ops.softmax(x, { axis: 1 }),
      layerNorm: ops.layerNorm(x, { normalizedShape: [COUNT, 8] }),
      flip: ops.flip(x, { axes: 1 }),
      batchedMatmul: ops.matmul(x, ops.transpose(x, [0, 2, 1])),
      argsort: ops.argsort(x, { axis: 1 }),
      convolution: ops.conv1d(x, ops.parameter("kernel", "f32", [4, COUNT, 1])),
      cumsum: ops.cumsum(x, { axis: 1, reverse: true }),
      slice: ops.slice(x, { axis: 1, end: 2 }),
    };
    for (const [op, value] of Object.entries(mixing)) {
      for (const isWhole of [false, true]) {
        const result = found(ops.relu(ops.cast(value, "f32")), isWhole);
        expect([op, result.kind, result.kind === "mixed" && result.by.op]).toEqual([op, "mixed", op]);
      }
    }
  });

  test("IN-03 may look back, and differ from position to position, in a sequence from its beginning", () => {
    const part = [
      ops.add(x, rows),
      ops.cumsum(x, { axis: 1 }),
      ops.matmul(ops.transpose(x, [1, 0, 2]), ops.parameter("own", "f32", [COUNT, 8, 8])),
    ];
    for (const value of part) {
      expect(placeOf(value)).toBe("mixed");
      expect(placeOf(value, true)).toMatch(/^[01]$/);
    }
    const head = ops.reshape(x, [2, 1, COUNT, 8]);
    expect(placeOf(ops.attention(head, head, head, { causal: true }), true)).toBe("2");
    expect(placeOf(ops.attention(head, head, head, { causal: true }))).toBe("mixed");
    expect(placeOf(ops.attention(head, head, head), true)).toBe("mixed");
    const mask = ops.input("mask", "u32", [COUNT, COUNT]);
    expect(placeOf(ops.attention(head, head, head, { causal: true, mask }), true)).toBe("mixed");
    const memory = ops.parameter("memory", "f32", [2, 1, 9, 8]);
    expect(placeOf(ops.attention(head, memory, memory))).toBe("2");
  });

  test("IN-03 is the last one's where only that is taken, and that may not meet the others", () => {
    const last = ops.slice(x, { axis: 1, start: -1 });
    expect(placeOf(last)).toBe("last");
    expect(placeOf(ops.matmul(ops.reshape(last, [2, 8]), weight, { transposeB: true }))).toBe("last");
    expect(placeOf(ops.slice(ops.reshape(x, [2, COUNT * 8]), { axis: 1, start: 2 * 8 }))).toBe("last");
    expect(placeOf(ops.add(x, last))).toBe("mixed");
    expect(placeOf(ops.slice(x, { axis: 1, end: 1 }))).toBe("mixed");
  });
});
