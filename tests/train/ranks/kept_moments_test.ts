import { describe, expect } from "bun:test";
import type { TensorSpec } from "../../../src/container/format/layout.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { countPieces, MomentPieces } from "../../../src/train/ranks/kept_moments.ts";
import { gpuTest } from "../../helpers/gpu.ts";

const SIZES = [1, 64, 65, 300, 0, 129];
const SPECS = SIZES.map((size, index): TensorSpec => ({ name: `w${index}`, dtype: "f32", shape: [size] }));

describe("what a rank keeps of the optimiser", () => {
  gpuTest("goes to another store piece by piece, however the slabs are cut", async (gpu) => {
    for (const pieceBytes of [256, 512, 1280, 1 << 20]) {
      const stores = [TensorStore.on(gpu), TensorStore.on(gpu, { slabBytes: 1280 })];
      const [from, to] = stores.map((store) => {
        store.define("m", SPECS);
        store.define("v", SPECS.slice(2));
        return { store, pieces: new MomentPieces(store, ["m", "v"], pieceBytes) };
      });
      if (from === undefined || to === undefined) throw new Error("There is no store");
      for (const { name, shape: [size = 0] } of from.store.tensors()) {
        from.store.write({ [name]: Float32Array.from({ length: size }, (_, at) => at + name.length + size) });
      }
      const specs = ["m", "v"].flatMap((slot) =>
        SPECS.slice(slot === "m" ? 0 : 2).map((spec) => ({ ...spec, name: `${slot}.${spec.name}` }))
      );
      expect([from.pieces.count, to.pieces.count]).toEqual([
        countPieces(specs, pieceBytes),
        countPieces(specs, pieceBytes),
      ]);
      for (let index = 0; index < from.pieces.count; index++) {
        const bytes = await from.pieces.read(index);
        expect(bytes.byteLength).toBeLessThanOrEqual(pieceBytes);
        await to.pieces.write(index, bytes);
      }
      const names = from.store.tensors().map(({ name }) => name);
      expect(await to.store.read(names)).toEqual(await from.store.read(names));
      for (const store of stores) await store.close();
    }
  });

  gpuTest("is nothing where there is nothing", async (gpu) => {
    const store = TensorStore.on(gpu);
    store.define("m", []);
    expect([new MomentPieces(store, ["m"]).count, countPieces([])]).toEqual([0, 0]);
    await store.close();
  });
});
