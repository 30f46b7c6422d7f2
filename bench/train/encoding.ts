/**
 * How long does a step take to encode? Of the MLP 784-256-128-10 (batch 64, Adam), from the command encoder to its
 * submit, by dispatch: the median of 200 steps, each of which begins when the GPU has nothing to do. The last line is
 * JSON. `npm run bench -- train` runs it in its runtime, and in Node as Bun bundles it. Options: `--provider=dawn`.
 */
import process from "node:process";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { jobOf, providerOption, singleSteps } from "./single_steps.ts";

const STEPS = 200;
const isNode = process.versions.bun === undefined && process.versions.deno === undefined;
const runtime = isNode ? `Node ${process.version}` : navigator.userAgent;
const mostUs = isNode ? 8 : 5;

const gpu = await GpuDevice.open(providerOption());
const { step, run } = await singleSteps(gpu, jobOf("mlp"));
const { programs: [program] } = await step.explain();
const dispatches = program?.dispatches ?? NaN;
const times: number[] = [];
let begin = 0;
const createCommandEncoder = gpu.device.createCommandEncoder.bind(gpu.device);
Object.defineProperty(gpu.device, "createCommandEncoder", {
  value: (descriptor?: GPUCommandEncoderDescriptor) => {
    begin = performance.now();
    return createCommandEncoder(descriptor);
  },
});
const submit = gpu.submit.bind(gpu);
gpu.submit = (work, changed) => {
  // Other submits have nothing encoded.
  if (begin > 0) times.push(performance.now() - begin);
  begin = 0;
  submit(work, changed);
};
for (let warm = 0; warm < 40; warm++) await run();
times.length = 0;
for (let each = 0; each < STEPS; each++) await run();
const sorted = times.sort((a, b) => a - b);
const [quarter = NaN, middle = NaN] = [0.25, 0.5].map((part) => sorted[Math.floor(part * sorted.length)]);
const us = Number((1000 * middle / dispatches).toFixed(2));
const isHeld = us <= mostUs;
console.log(
  `encoding in ${runtime}: ${us} us a dispatch, ${dispatches} in a step (a quarter of the steps under ` +
    `${(1000 * quarter / dispatches).toFixed(2)}) | <= ${mostUs}: ${isHeld ? "held" : "MISSED"}`,
);
const { adapterName: adapter, provider } = gpu;
console.log(JSON.stringify({
  bench: "train, encoding",
  runtime,
  adapter,
  provider,
  dispatches,
  us,
  target: mostUs,
  isHeld,
}));
process.exit(0);
