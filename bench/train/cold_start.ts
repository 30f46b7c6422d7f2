/**
 * How long is it from the start of a process to its first training steps? `npm run bench -- train` runs it.
 *
 * Of the transformer of `jobs.ts`, Cairn and TensorFlow.js each in a new process, with the cache of compiled shaders of
 * Mesa's drivers off; rounds are interleaved, and what both have trained is compared. By the processor's time of the
 * whole process, then by the clock. The last line is JSON. Options: `--rounds=7`, `--provider=dawn`.
 */
import process from "node:process";
import { median, ratioOf } from "../interleaved.ts";
import { type ContenderName, Peer } from "./peer.ts";
import { jobOf, option } from "./single_steps.ts";

const MOST = 0.5;
const NO_CACHE = { MESA_SHADER_CACHE_DISABLE: "true", MESA_GLSL_CACHE_DISABLE: "true" };
const names = ["cairn", "tfjs"] as const satisfies readonly ContenderName[];
const rounds = Number(option("rounds") ?? 7);
const provider = option("provider") ?? (process.versions.deno === undefined ? "dawn" : "native");
const job = { ...jobOf("transformer"), steps: 1 };
const times = new Map(names.map((name) => [name, { ms: [] as number[], cpuMs: [] as number[] }]));
for (let round = 0; round < rounds; round++) {
  let expected: readonly number[] | undefined;
  for (const name of round % 2 === 0 ? names : names.toReversed()) {
    const begin = performance.now();
    const peer = new Peer(name, provider, NO_CACHE);
    const { index, cpuMs } = await peer.start(job);
    times.get(name)?.ms.push(performance.now() - begin);
    times.get(name)?.cpuMs.push(cpuMs);
    const { results } = await peer.run(index, 1);
    peer.close();
    expected ??= results;
    requireNear(results, expected);
  }
}
const [own, theirs] = names.map((name) => times.get(name) ?? { ms: [], cpuMs: [] });
if (own === undefined || theirs === undefined) throw new Error("nothing was measured");
const ratio = ratioOf(own.cpuMs, theirs.cpuMs).measured;
const wall = ratioOf(own.ms, theirs.ms).measured;
const isHeld = ratio <= MOST;
const seconds = (values: readonly number[]): string => (median(values) / 1000).toFixed(1);
console.log(
  `cold start of the transformer's step: ${seconds(own.cpuMs)} s of the processor, ${seconds(own.ms)} s, ` +
    `${ratio.toFixed(2)}x of TensorFlow.js, by the clock ${wall.toFixed(2)}x | <= ${MOST}: ${
      isHeld ? "held" : "MISSED"
    }`,
);
console.log(JSON.stringify({
  bench: "train, cold start",
  runtime: navigator.userAgent,
  provider,
  rounds,
  cpuMs: median(own.cpuMs),
  ms: median(own.ms),
  ratio,
  wall,
  target: MOST,
  isHeld,
}));
process.exit(0);

function requireNear(found: readonly number[], expected: readonly number[]): void {
  const largest = Math.max(...expected.map(Math.abs));
  expected.forEach((value, index) => {
    if (Math.abs((found[index] ?? NaN) - value) <= 0.03 * largest) return;
    throw new Error(`weight ${index} is ${found[index]}, not ${value}`);
  });
}
