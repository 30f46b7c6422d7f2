/**
 * Host memory of one save above the state's own, for bench/checkpoint/main.ts, in a process of its own so that
 * nothing that was freed before can hide any. `--provider=dawn --mode=balanced --directory=…`; the last line is JSON.
 *
 * On a software adapter the GPU's memory is the process's own. The slabs and their shadow are the state, so that they
 * are there before the peak is set back: a first save is stopped as soon as its copy is in the shadow. What counts is
 * all the rest: staging buffers, what compresses, what is written, garbage.
 */
import process from "node:process";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import type { CompressionMode } from "../../src/container/codec/choose.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { peakGrowth } from "../../tests/helpers/peak_memory.ts";
import { openDisk } from "./disk.ts";
import { BenchState } from "./state.ts";

const directory = option("directory");
const mode = option("mode") as CompressionMode;
const provider = option("provider");
openDisk(process.argv.includes("--disk=slow") ? "slow" : undefined);
const store = await TensorStore.open(provider === "dawn" || provider === "native" ? { provider } : {});
const state = await BenchState.fill(store);
const snapshot = new Snapshot(directory, { store }, { mode });
const stopping = new AbortController();
const stopped = await snapshot.save(0, { signal: stopping.signal });
stopping.abort();
await stopped.settled();
await store.gpu.idle();
const growth = await peakGrowth(async () => {
  const pending = await snapshot.save(1);
  await pending.wait();
});
await state.checkFile(`${directory}/1.cairn`);
await snapshot.close();
await store.close();
console.log(JSON.stringify({ stopped: stopped.status, growth }));

function option(name: string): string {
  const text = process.argv.find((argument) => argument.startsWith(`--${name}=`));
  if (text === undefined) throw new Error(`Say --${name}=`);
  return text.slice(name.length + 3);
}
