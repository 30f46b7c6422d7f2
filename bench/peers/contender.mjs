// What contenders of a bench have in common. Each is a process of its own, in the runtime of the bench, and has one
// device: so the processor time of the threads that stand for the GPU is its own. In: lines of JSON, `{ prepare: job }`
// `{ run: index, repetitions }` or `{ count: index }`. Out: a line for each: `{ index, cpuMs }`, with all processor time
// of the process so far; what the run took and some of its results; or how many dispatches and submits it had.
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import readline from "node:readline";

/** A number from [-0.5, 0.5) that is the same in every contender. */
export function numberAt(seed, index) {
  let word = Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 15), 0x2c1b3c6d);
  word = Math.imul(word ^ (word >>> 12), 0x297a2d39);
  return ((word ^ (word >>> 15)) >>> 0) / 2 ** 32 - 0.5;
}

/** `count` of them. */
export function numbers(count, seed) {
  return Float32Array.from({ length: count }, (_, index) => numberAt(seed, index));
}

/** The places of a result that are compared. */
export function samplePlaces(count) {
  return Array.from({ length: 64 }, (_, index) => Math.floor((index + 0.5) * count / 64));
}

/**
 * Milliseconds of the processor that all threads but the main one took so far: on an adapter that is a CPU, these are
 * those of the GPU. `undefined` where the system does not say.
 */
export function otherThreadsMs() {
  try {
    const threads = readdirSync("/proc/self/task").filter((thread) => Number(thread) !== process.pid);
    return threads.map(threadMs).reduce((total, ms) => total + ms, 0);
  } catch {
    return undefined;
  }
}

function threadMs(thread) {
  try {
    const text = readFileSync(`/proc/self/task/${thread}/sched`, "utf8");
    return Number(/sum_exec_runtime\s*:\s*([0-9.]+)/.exec(text)?.[1]);
  } catch (error) {
    // A thread may end meanwhile.
    if (error.code === "ENOENT" || error.code === "ESRCH") return 0;
    throw error;
  }
}

/** The output is for replies; libraries log to it. */
function logElsewhere() {
  console.log = console.error;
  console.warn = console.error;
  console.info = console.error;
}

/** Puts Dawn where a page would find WebGPU, in runtimes that have none or when it is asked for. */
export async function provideWebGpu(provider) {
  logElsewhere();
  if (provider !== "dawn") return;
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  // Held for as long as the process lives: Bun crashes when it is collected.
  globalThis.heldGpu = create([]);
  Object.defineProperty(globalThis.navigator, "gpu", { value: globalThis.heldGpu, configurable: true });
}

/** Answers requests until the input ends. `prepare` makes a job: `run(repetitions)` and `results()`. */
export async function serve(prepare) {
  logElsewhere();
  const jobs = [];
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    try {
      if (request.count !== undefined) {
        reply(await counted(jobs[request.count]));
      } else if (request.prepare === undefined) {
        reply(await timed(jobs[request.run], request.repetitions));
      } else {
        const index = jobs.push(await prepare(request.prepare)) - 1;
        const { user, system } = process.cpuUsage();
        reply({ index, cpuMs: (user + system) / 1000 });
      }
    } catch (error) {
      reply({ absent: String(error?.stack ?? error) });
    }
  }
  process.exit(0);
}

async function timed(job, repetitions) {
  const othersBefore = otherThreadsMs();
  const { user, system } = process.cpuUsage();
  const start = performance.now();
  await job.run(repetitions);
  const ms = performance.now() - start;
  const cpu = process.cpuUsage();
  const others = otherThreadsMs();
  return {
    ms,
    cpuMs: (cpu.user + cpu.system - user - system) / 1000,
    gpuMs: others === undefined ? undefined : others - othersBefore,
    results: await job.results(),
  };
}

/** The calls of one repetition. */
async function counted(job) {
  const counts = { dispatches: 0, submits: 0 };
  const restore = [
    countCalls(globalThis.GPUComputePassEncoder, "dispatchWorkgroups", () => counts.dispatches++),
    countCalls(globalThis.GPUComputePassEncoder, "dispatchWorkgroupsIndirect", () => counts.dispatches++),
    countCalls(globalThis.GPUQueue, "submit", () => counts.submits++),
  ];
  await job.run(1);
  for (const each of restore) each();
  if (counts.submits === 0) throw new Error("nothing was counted");
  return counts;
}

function countCalls({ prototype }, name, count) {
  const original = prototype[name];
  prototype[name] = function (...args) {
    count();
    return original.apply(this, args);
  };
  return () => prototype[name] = original;
}

function reply(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
