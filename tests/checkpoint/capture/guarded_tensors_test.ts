import { describe, expect } from "bun:test";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";

const bytes = (values: readonly number[]) => HostTensor.from(Uint8Array.from(values), [values.length]);

describe("a guarded tensor", () => {
  gpuTest(
    "is shown to its guard as it was at the moment of the snapshot, whatever its size is",
    async (gpu) => {
      const store = TensorStore.on(gpu);
      store.define("state", [
        { name: "five", dtype: "u8", shape: [5] },
        { name: "three", dtype: "u8", shape: [3] },
      ]);
      const seen: Record<string, number[]> = {};
      store.guard("state.three", (found) => void (seen.three = [...found]));
      store.guard("state.five", (found) => void (seen.five = [...found]));
      store.write({ "state.five": bytes([1, 2, 3, 4, 5]), "state.three": bytes([7, 8, 9]) });
      const snapshot = new Snapshot(await FileEngine.open(new MemoryStorage()), { store });
      const pending = await snapshot.save(1);
      store.write({ "state.five": bytes([0, 0, 0, 0, 0]), "state.three": bytes([0, 0, 0]) });
      await pending.wait();
      expect(seen).toEqual({ three: [7, 8, 9], five: [1, 2, 3, 4, 5] });
      await snapshot.close();
      await store.close();
    },
  );

  gpuTest("whose guard throws keeps a checkpoint from being committed, and the next one is", async (gpu) => {
    const store = TensorStore.on(gpu);
    store.define("state", [{ name: "flag", dtype: "u8", shape: [1] }]);
    store.guard("state.flag", ([flag]) => {
      if (flag !== 0) throw new Error("not this one");
    });
    const storage = new MemoryStorage();
    const snapshot = new Snapshot(await FileEngine.open(storage), { store });
    store.write({ "state.flag": bytes([1]) });
    const refused = await snapshot.save(1);
    expect((await thrownBy(() => refused.wait())).message).toBe("not this one");
    expect(await storage.list("")).toEqual([]);
    store.write({ "state.flag": bytes([0]) });
    await (await snapshot.save(2)).wait();
    expect((await storage.list("")).some(({ name }) => name === "2.cairn")).toBe(true);
    await snapshot.close();
    await store.close();
  });

  gpuTest("has to exist", async (gpu) => {
    const store = TensorStore.on(gpu);
    expect(() => store.guard("state.flag", () => {})).toThrow(TypeError);
    await store.close();
  });
});
