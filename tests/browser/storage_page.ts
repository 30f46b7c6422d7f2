// Runs in the browser, as one bundle: the contract of storages over real files of the page's origin, and a run that is
// saved by one trainer and resumed by another. Posts what held.
import { DataLoader, nn, optim, TensorStore, Trainer } from "../../mod.ts";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import { OpfsStorage } from "../../src/storage/opfs/opfs_storage.ts";
import { testStorageContract } from "../storage/storage_contract.ts";
import { expect, results, test } from "./bun_test_in_page.ts";

let opened = 0;
testStorageContract("OpfsStorage", () => OpfsStorage.open(`contract/${opened++}`), { keepsOpenFiles: false });

async function trained(
  epochs: number,
): Promise<{ resumedFrom: string | null; step: number; files: string[] }> {
  const store = await TensorStore.open();
  const inputs = Array.from({ length: 64 }, (_, i) => [Math.sin(i), Math.cos(i)]);
  const trainer = new Trainer(store, {
    model: nn.linear(2, 1),
    loss: nn.mse(),
    optimizer: optim.adamw({ learningRate: 0.05 }),
    data: DataLoader.from({ inputs, labels: inputs.map(([x = 0]) => [x]) }, { batchSize: 32 }),
    seed: 7,
  });
  const storage = await OpfsStorage.open("runs");
  trainer.autoSave({ interval: 1, savePath: await FileEngine.open(storage), keep: { last: 2 } });
  const { resumedFrom } = await trainer.resume();
  await trainer.train({ epochs });
  const { step } = trainer;
  await trainer.close();
  await store.close();
  return { resumedFrom, step, files: (await storage.list("")).map(({ name }) => name) };
}

test("autoSave saves a run on a page, and another trainer resumes it", async () => {
  const first = await trained(3);
  expect([first.resumedFrom, first.step]).toEqual([null, 6]);
  expect(first.files.filter((name) => name.endsWith(".cairn")).length).toBe(2);
  const second = await trained(5);
  expect([second.resumedFrom !== null, second.step]).toEqual([true, 10]);
});

await fetch("/report", { method: "POST", body: JSON.stringify(await results()) });
