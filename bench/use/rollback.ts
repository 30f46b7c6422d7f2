import { DataLoader, HostTensor, nn, optim, TensorStore, Trainer } from "../../mod.ts";
import { interleaved, median, ratioOf } from "../interleaved.ts";
import type { MeasureRows } from "./row.ts";

/** With the two moments of each, 64 MiB. */
const WIDTH = 2364;
const COPY_SRC = 4;
const COPY_DST = 8;

/**
 * `trainer.rollback` of 64 MiB, until the GPU is done, beside the bare copy of as many bytes in as many buffers. A step
 * is trained before each of them, so that there is something to go back from.
 */
export const rollbackRows: MeasureRows = async ({ rounds }) => {
  await using store = await TensorStore.open();
  await using trainer = new Trainer(store, {
    model: nn.linear(WIDTH, WIDTH),
    loss: nn.mse(),
    optimizer: optim.adamw({ learningRate: 1e-3 }),
    data: DataLoader.from({
      inputs: HostTensor.from(new Float32Array(4 * WIDTH).fill(0.1), [4, WIDTH]),
      labels: HostTensor.from(new Float32Array(4 * WIDTH), [4, WIDTH]),
    }, { batchSize: 1 }),
    rollback: { last: 2 },
  });
  const { gpu } = store;
  const train = (steps: number): Promise<unknown> => trainer.train({ steps, progress: false });
  await train(4);
  const slabs = store.groups().flatMap((group) => group.slabs);
  const copies = slabs.map(({ byteLength }) => {
    return [0, 1].map(() => gpu.createBuffer("bare copy", byteLength, COPY_SRC | COPY_DST));
  });
  const copy = (): void => {
    const encoder = gpu.device.createCommandEncoder();
    for (const [index, { byteLength }] of slabs.entries()) {
      const [from, to] = copies[index] ?? [];
      if (from !== undefined && to !== undefined) encoder.copyBufferToBuffer(from, 0, to, 0, byteLength);
    }
    gpu.submit(encoder, []);
  };
  const prepare = async (): Promise<void> => {
    await train(trainer.step + 1);
    await gpu.idle();
  };
  const biasNow = async (): Promise<string> => {
    const [bias] = (await store.read(["model.bias"])).values();
    return String(bias?.bytes);
  };
  let before = { step: 0, bias: "" };
  const times = await interleaved([
    {
      name: "rollback",
      prepare: async () => {
        before = { step: trainer.step, bias: await biasNow() };
        await prepare();
      },
      run: async () => {
        await trainer.rollback();
        await gpu.idle();
      },
      check: async () => {
        const isBack = trainer.step === before.step && await biasNow() === before.bias;
        if (!isBack) throw new Error(`It is at step ${trainer.step} and not as it was at ${before.step}`);
      },
    },
    {
      name: "copy",
      prepare,
      run: async () => {
        copy();
        await gpu.idle();
      },
      check: () => {},
    },
  ], rounds);
  for (const buffer of copies.flat()) gpu.destroyBuffer(buffer);
  const [rollback = [], bare = []] = ["rollback", "copy"].map((name) => times.get(name));
  const { measured, spread } = ratioOf(rollback, bare);
  const mib = (store.stats().bytes / 2 ** 20).toFixed(1);
  return [{
    name: `rollback of ${mib} MiB : a bare copy on the GPU`,
    measured,
    target: 1.2,
    bound: "at most",
    spread,
    detail: `rollback ${median(rollback).toFixed(1)} ms, copy ${
      median(bare).toFixed(1)
    } ms, ${gpu.adapterName}`,
  }];
};
