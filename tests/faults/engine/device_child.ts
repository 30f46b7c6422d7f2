import { writeSync } from "node:fs";
import process from "node:process";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { FileStorage } from "../../../src/storage/file_storage.ts";
import { gpuTestOptions } from "../../helpers/gpu.ts";
import { hookedDevice } from "../../helpers/hooked_device.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import { DeviceRun, recoveredStep } from "./device_runs.ts";

// A process that loses a real device at one point of a save after the other, from the given one on. A runtime may
// hang or crash when that happens: its parent goes on with the next point then.

const [folder = "", first = "0"] = process.argv.slice(2);
const MOST_POINTS = 1000;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/** @returns Whether the save came as far as point `at`. */
async function loseAt(at: number): Promise<boolean> {
  let count = -Infinity;
  let lostAt: number | undefined;
  let opened = await GpuDevice.open(gpuTestOptions());
  const pass = (name: string): void => {
    if (count++ !== at) return;
    say(`LOSE ${at} ${name}`);
    lostAt = performance.now();
    opened.device.destroy();
  };
  const files = await FileStorage.open(`${folder}/${at}`);
  const storage = new HookedStorage(files, {
    before: ({ op }) => pass(`before ${op}`),
    after: ({ op }) => pass(`after ${op}`),
  });
  const engine = await FileEngine.open(storage, { codec: "raw", chunkBytes: 512 });
  const run = await DeviceRun.open(
    hookedDevice(opened.device, ({ op, phase }) => pass(`${op} ${phase}`)),
    engine,
  );
  run.become(1);
  const before = await run.save(1);
  run.become(2);
  count = 0;
  const end = await run.save(2);
  count = -Infinity;
  const tookMs = lostAt === undefined ? 0 : performance.now() - lostAt;
  await run.snapshot.close();
  await run.store.close();
  const left = run.gpu.counters.buffers;
  await run.gpu.close();
  await opened.close();
  const step = await recoveredStep(await FileEngine.open(files));

  opened = await GpuDevice.open(gpuTestOptions());
  const next = await DeviceRun.open(opened.device, engine);
  next.become(3);
  const after = await next.save(3);
  await next.close();
  await opened.close();
  const last = await recoveredStep(await FileEngine.open(files));
  const names = (await files.list("")).map(({ name }) => name).filter((name) => name.startsWith(".tmp-"));
  const isRight = before === "committed" && after === "committed" && last === 3 && left === 0 &&
    names.length === 0 &&
    (end === "committed" ? step === 2 : end === "device_lost" && step === 1);
  const found =
    `${before}, ${end} after ${tookMs.toFixed(0)} ms, ${step} was recovered, ${left} buffers left; ` +
    `then ${after}, ${last} was recovered, ${names.length} temporary files`;
  if (lostAt !== undefined || !isRight) {
    say(`${isRight ? "STOOD" : "BAD"} ${at} ${Math.round(tookMs)} ${found}`);
  }
  return lostAt !== undefined;
}

let at = Number(first);
while (at < MOST_POINTS && await loseAt(at)) at++;
say(`DONE ${at}`);
process.exit(0);
