import { describe, expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { layoutTensors, type TensorSpec } from "../../src/container/format/layout.ts";
import { layoutSlabs } from "../../src/tensor/slab_layout.ts";

/** A u8 tensor of so many bytes. */
function bytes(name: string, byteLength: number, aliasOf?: string): TensorSpec {
  const spec: TensorSpec = { name, dtype: "u8", shape: [byteLength] };
  return aliasOf === undefined ? spec : { ...spec, aliasOf };
}

/** Places as "name slab:offset". */
function places(specs: readonly TensorSpec[], slabBytes: number): { slabs: readonly number[]; at: string[] } {
  const { slabs, tensors } = layoutSlabs(specs, slabBytes);
  return { slabs, at: tensors.map(({ name, slab, offset }) => `${name} ${slab}:${offset}`) };
}

describe("layoutSlabs", () => {
  test("puts tensors at multiples of 256, and begins a slab when the next one does not fit", () => {
    expect(places([bytes("a", 1), bytes("b", 256), bytes("c", 257), bytes("d", 300)], 1024)).toEqual({
      slabs: [1024, 512],
      at: ["a 0:0", "b 0:256", "c 0:512", "d 1:0"],
    });
  });

  test("lets a tensor fill a slab to its last byte", () => {
    expect(places([bytes("a", 512), bytes("b", 512), bytes("c", 1)], 1024).slabs).toEqual([1024, 256]);
    expect(places([bytes("a", 1023)], 1024).slabs).toEqual([1024]);
  });

  test("puts aliases where their target lies, however many slabs ago", () => {
    const specs = [
      bytes("a", 256),
      bytes("b", 256),
      bytes("tied", 256, "a"),
      bytes("again", 256, "tied"),
      bytes("c", 4),
    ];
    expect(places(specs, 256)).toEqual({
      slabs: [256, 256, 256],
      at: ["a 0:0", "b 1:0", "tied 0:0", "again 0:0", "c 2:0"],
    });
  });

  test("gives empty tensors an address and no bytes", () => {
    const specs = [
      bytes("none", 0),
      bytes("a", 256),
      bytes("end", 0),
      bytes("b", 4),
      bytes("tied", 0, "end"),
    ];
    expect(places(specs, 256)).toEqual({
      slabs: [256, 256],
      at: ["none 0:0", "a 0:0", "end 0:256", "b 1:0", "tied 0:256"],
    });
    expect(places([bytes("none", 0)], 256)).toEqual({ slabs: [0], at: ["none 0:0"] });
    expect(places([], 256)).toEqual({ slabs: [], at: [] });
  });

  test("explains the limit for a tensor that is larger than a slab", () => {
    const error = (() => {
      try {
        layoutSlabs([bytes("fits", 4), bytes("embedding", 1025)], 1024);
      } catch (thrown) {
        return thrown;
      }
    })();
    if (!(error instanceof CairnError)) throw new Error("expected a CairnError");
    expect(error.code).toBe("limit_exceeded");
    expect(error.details).toEqual({ tensor: "embedding", limit: 1024, value: 1025 });
    expect(error.message).toBe(
      'Tensor "embedding" has 1025 bytes, but a slab holds at most 1024: it is one GPU buffer, and the adapter has no ' +
        "larger ones (maxBufferSize); split the tensor into smaller ones",
    );
  });

  test("is the raw space of a container, cut between tensors, for 300 random lists", () => {
    let state = 20_261_122;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state % below;
    };
    for (let round = 0; round < 300; round++) {
      const slabBytes = 256 * (1 + random(8));
      const specs: TensorSpec[] = [];
      for (let i = random(12); i > 0; i--) {
        const target = random(4) === 0 ? specs[random(Math.max(specs.length, 1))] : undefined;
        const spec = bytes(`t${i}`, random(slabBytes + 1));
        specs.push(target === undefined ? spec : { ...target, name: spec.name, aliasOf: target.name });
      }
      const { slabs, tensors } = layoutSlabs(specs, slabBytes);
      const raw = layoutTensors(specs);
      const starts = slabs.map((_, slab) => slabs.slice(0, slab).reduce((sum, size) => sum + size, 0));
      expect(tensors.map(({ slab, offset }) => (starts[slab] ?? NaN) + offset)).toEqual(
        raw.tensors.map(({ rawOffset }) => rawOffset),
      );
      expect(slabs.reduce((sum, size) => sum + size, 0)).toBe(raw.rawByteLength);
      for (const size of slabs) expect(size <= slabBytes && size % 256 === 0).toBe(true);
      for (const { slab, offset, byteLength } of tensors) {
        expect(offset + byteLength <= (slabs[slab] ?? -1)).toBe(true);
      }
    }
  });
});
