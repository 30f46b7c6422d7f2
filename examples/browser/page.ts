// A page that trains and saves. Reload it while it trains: it goes on where it was.
//
//   npm run example:browser
//   deno task browser
//
// The result: at least 98 % of 500 new points, and a run that goes on from its newest checkpoint after a reload.
import { DataLoader, type Dataset, HostTensor, nn, optim, TensorStore, Trainer } from "@cairn-ml/cairn";
import { FileEngine } from "@cairn-ml/cairn/engine";
import { OpfsStorage } from "@cairn-ml/cairn/storage";

const epochs = Number(new URLSearchParams(location.search).get("epochs") ?? 40);
const storage = await OpfsStorage.open("rings");
document.querySelector("#forget")?.addEventListener("click", async () => {
  for (const { name, kind } of await storage.list("")) if (kind === "file") await storage.remove(name);
  location.reload();
});

try {
  await train();
} catch (error) {
  show("result", `failed: ${error instanceof Error ? error.message : error}`);
}

async function train(): Promise<void> {
  const store = await TensorStore.open(); // says what is missing where the browser has no WebGPU
  const trainer = new Trainer(store, {
    model: nn.sequential(nn.linear(2, 32), nn.relu(), nn.linear(32, 2)),
    loss: nn.crossEntropy(),
    optimizer: optim.adamw({ learningRate: 1e-2 }),
    data: DataLoader.from(rings(512, 0), { batchSize: 64, shuffle: true }),
    validation: DataLoader.from(rings(500, 1000), { batchSize: 250 }),
    seed: 1,
  });
  trainer.autoSave({
    interval: 1,
    savePath: await FileEngine.open(storage),
    name: "rings-{epoch:02d}",
    keep: { last: 2 },
  });
  const { resumedFrom } = await trainer.resume();
  log(resumedFrom === null ? "a fresh start" : `going on from ${resumedFrom}`);
  await trainer.train({
    epochs,
    onEpoch: ({ epoch, metrics: { loss = NaN } }) =>
      log(`epoch ${epoch} of ${epochs}: loss ${loss.toFixed(4)}`),
  });
  const { accuracy = 0, examples } = await trainer.evaluate();
  const files = (await storage.list("")).filter(({ name }) => name.endsWith(".cairn"));
  await trainer.close();
  await store.close();
  const names = files.map(({ name, byteLength }) => `${name} (${byteLength} bytes)`).join(" and ");
  show("result", `done: ${(100 * accuracy).toFixed(1)} % of ${examples} new points; saved ${names}`);
}

/** Points on two rings, and which ring each is on. */
function rings(count: number, from: number): Dataset {
  const points = Array.from({ length: count }, (_, i) => {
    const radius = i % 2 === 0 ? 1 : 2;
    return [radius * Math.cos(from + i), radius * Math.sin(from + i)];
  });
  return {
    inputs: HostTensor.from(points),
    labels: HostTensor.from(Uint32Array.from(points, (_, i) => i % 2)),
  };
}

function log(line: string): void {
  document.querySelector("#log")?.append(`${line}\n`);
}

function show(id: string, text: string): void {
  const element = document.querySelector(`#${id}`);
  if (element !== null) element.textContent = text;
}
