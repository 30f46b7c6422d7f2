import process from "node:process";
import { ProcessGroup } from "../../../src/checkpoint/ranks/process_group.ts";
import { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { gpuTestOptions } from "../../helpers/gpu.ts";
import { fixture, smallRun } from "../fixtures.ts";

// One rank of several that train together, in a process of its own. It may get a signal on the way.

const [directory = "", rankText = "", sizeText = "", stepsText = "", signalText = "0", sharding] = process
  .argv
  .slice(2);
const [rank, size, steps, signalAt] = [rankText, sizeText, stepsText, signalText].map(Number) as [
  number,
  number,
  number,
  number,
];
const group = await ProcessGroup.overDirectory(`${directory}/meeting`, {
  rank,
  size,
  pollMs: 2,
  timeoutMs: 300_000,
});
const gpu = await GpuDevice.open(gpuTestOptions());
const { trainer, tensors, close } = fixture(gpu, {
  ...smallRun(),
  parallel: { group, shards: 4, optimizerSharding: sharding === "sharded" },
});
trainer.autoSave({ savePath: `${directory}/checkpoints`, everySteps: 1000 });
await trainer.resume();
const report = await trainer.train({
  steps,
  progress: false,
  handleSignals: true,
  onStep: ({ step }) => {
    if (step === signalAt) process.kill(process.pid, "SIGTERM");
  },
});
const { endedBy } = report;
const weights = Object.entries(await tensors()).filter(([name]) => name.startsWith("model."));
console.log(JSON.stringify({ endedBy, step: trainer.step, weights: Object.fromEntries(weights) }));
await close();
await group.close();
await gpu.close();
process.exit(report.exitCode);
