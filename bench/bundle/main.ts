/**
 * How many bytes does a page load? `npm run bench -- bundle`. It builds the package first.
 *
 * Scripts are bundled by esbuild with everything that they need (no externals), minified and compressed with gzip. "At
 * first" counts the files that are loaded before the script runs; what is imported only when it is used, such as all
 * that saves, comes to the second figure. Sizes do not depend on the machine or the runtime. The last line is JSON.
 */
import { bundleSize } from "../../tools/bundle_size.mjs";

interface Row {
  readonly name: string;
  readonly code: string;
  /** At most so many kB at first. */
  readonly target: number;
}

const DATA = `
  const inputs = HostTensor.from([0, 0, 0, 1, 1, 0, 1, 1], [4, 2], "f32");
  const labels = HostTensor.from([0, 1, 1, 0], [4], "u32");
  const store = await TensorStore.open();`;

const TRAINING = `
  await trainer.train({ epochs: 200 });
  console.log(trainer.history.epochs.at(-1)?.metrics.loss);
  await trainer.close();
  await store.close();`;

function trainerWith(nn: string, optim: string): string {
  return `${DATA}
  const trainer = new Trainer(store, {
    model: ${nn}sequential(${nn}linear(2, 16), ${nn}relu(), ${nn}linear(16, 2)),
    loss: ${nn}crossEntropy(),
    optimizer: ${optim}adamw({ learningRate: 0.05 }),
    data: DataLoader.from({ inputs, labels }, { batchSize: 4 }),
    seed: 1,
  });${TRAINING}`;
}

const ROWS: readonly Row[] = [
  {
    name: "trains an MLP, imports from /core, /nn and /optim",
    target: 120,
    code: `
      import { DataLoader, HostTensor, TensorStore, Trainer } from "@cairn-ml/cairn/core";
      import { crossEntropy, linear, relu, sequential } from "@cairn-ml/cairn/nn";
      import { adamw } from "@cairn-ml/cairn/optim";
      ${trainerWith("", "")}`,
  },
  {
    name: "trains an MLP, imports from the main entry",
    target: 120,
    code: `
      import { DataLoader, HostTensor, nn, optim, TensorStore, Trainer } from "@cairn-ml/cairn";
      ${trainerWith("nn.", "optim.")}`,
  },
  {
    name: "reads a container, imports from /container",
    target: 45,
    code: `
      import { bytesSource, ContainerReader } from "@cairn-ml/cairn/container";
      const file = new Uint8Array(await (await fetch("model.cairn")).arrayBuffer());
      const reader = await ContainerReader.open(bytesSource(file));
      console.log((await reader.verify()).ok, await reader.read("weight"));`,
  },
];

const targets: object[] = [];
for (const { name, code, target } of ROWS) {
  const { atFirst, all } = await bundleSize(code);
  const kB = (bytes: number): number => Math.round(bytes / 100) / 10;
  const holds = kB(atFirst) <= target;
  targets.push({ name, measured: kB(atFirst), unit: "kB", target, holds, withWhatIsLoadedLater: kB(all) });
  const verdict = holds ? "holds" : "DOES NOT HOLD";
  console.log(
    `${name.padEnd(52)} ${kB(atFirst).toFixed(1).padStart(6)} kB at first, target ${target}: ${verdict}; ` +
      `${kB(all).toFixed(1)} kB with what is loaded later`,
  );
}
console.log(JSON.stringify({ bench: "bundle", bundler: "esbuild, min + gzip", targets }));
