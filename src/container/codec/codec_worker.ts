/*
 * The module of a worker of `CodecPool`: takes jobs from a `JobBoard` until that is closed. It is started, never
 * imported.
 */
import { nodeBuiltin } from "../../base/node_builtin.ts";
import { type CodecResult, JobRunner } from "./codec_job.ts";
import type { ThreadMessage } from "./codec_thread.ts";
import { JobBoard, type TakenJob } from "./job_board.ts";
import { useKernelsModule } from "./planes/wasm_kernels.ts";

/** A slot's memory and its number. */
interface SlotMemory {
  readonly number: number;
  readonly memory: SharedArrayBuffer;
}

let board: JobBoard | undefined;
let thread = 0;
const memories: SlotMemory[] = [];
const runner = new JobRunner();
// Workers of Node have no `postMessage` of their own; those of Deno, Bun and browsers do. To ask for a port takes Deno
// long.
const isWebWorker = typeof globalThis.postMessage === "function";
const port = isWebWorker ? undefined : nodeBuiltin("node:worker_threads")?.parentPort;

function answer(): void {
  if (isWebWorker) globalThis.postMessage(0);
  else port?.postMessage(0);
}

function hear(message: ThreadMessage): void {
  if (message.kind === "board") {
    board = new JobBoard(message.board);
    thread = message.thread;
    if (message.kernels !== undefined) useKernelsModule(message.kernels);
  } else {
    memories[message.slot] = { number: message.number, memory: message.memory };
  }
  if (board !== undefined) serve(board);
}

/** Takes jobs while there are any, and sleeps between them. Returns to hear of memory that it does not know. */
function serve(board: JobBoard): void {
  while (!board.isClosed) {
    const bell = board.bell;
    const taken = board.take(thread, (slot, number) => memories[slot]?.number === number);
    if (taken === "not mine") return;
    if (taken === "none") {
      board.sleep(bell);
      continue;
    }
    board.finish(taken.slot, resultOf(taken));
    if (board.takeAwaited()) answer();
  }
}

function resultOf({ slot, inputBytes, job }: TakenJob): CodecResult | undefined {
  const memory = memories[slot]?.memory;
  try {
    return memory === undefined ? undefined : runner.run(job, memory, inputBytes);
  } catch {
    return undefined;
  }
}

if (isWebWorker) globalThis.onmessage = ({ data }: MessageEvent<ThreadMessage>) => hear(data);
else port?.on("message", hear);
