/*
 * The module of a worker of `CodecPool`: takes several `CodecJob`s at a time, answers with as many `CodecAnswer`s. It
 * is started, never imported.
 */
import { CairnError } from "../../base/errors.ts";
import { nodeBuiltin } from "../../base/node_builtin.ts";
import { encodeSmallest } from "./choose.ts";
import type { CodecAnswer, CodecJob, JobInput, JobOutput } from "./codec_job.ts";
import { decodeChecked } from "./decode_checked.ts";
import { decoderByName } from "./decoders.ts";
import { outputHalf } from "./shared_buffers.ts";

/** Memory of the buffers by their number. */
const buffers: SharedArrayBuffer[] = [];

interface JobMemory {
  readonly input: Uint8Array;
  /** Where the output goes, where both threads see it. */
  readonly output?: Uint8Array;
}

function answer({ id, input: where, work }: CodecJob): CodecAnswer {
  try {
    const { input, output } = memoryOf(where);
    if (work.kind === "decode") {
      const raw = decodeChecked(decoderByName(work.name), input, work.chunk, output);
      return { id, output: given(raw, output) };
    }
    const { stored, ...encoded } = encodeSmallest(input, work.dtype, work.names, output);
    return { id, output: given(stored, output), encoded };
  } catch (error) {
    const code = error instanceof CairnError ? error.code : undefined;
    return { id, failure: { code, message: error instanceof Error ? error.message : String(error) } };
  }
}

function memoryOf(where: JobInput): JobMemory {
  if ("bytes" in where) return { input: where.bytes };
  const memory = where.memory ?? buffers[where.buffer];
  if (memory === undefined) throw new CairnError("closed", `A codec worker knows no buffer ${where.buffer}`);
  buffers[where.buffer] = memory;
  return { input: new Uint8Array(memory, 0, where.byteLength), output: outputHalf(memory) };
}

/** Puts a codec's result where the other thread finds it. It may be the input, or in `output` already. */
function given(bytes: Uint8Array, output: Uint8Array | undefined): JobOutput {
  if (output === undefined) return whole(bytes);
  if (bytes.buffer === output.buffer) return { at: bytes.byteOffset, byteLength: bytes.byteLength };
  output.set(bytes);
  return { at: output.byteOffset, byteLength: bytes.byteLength };
}

/** Bytes that have a buffer of their own, which can be transferred: one that Node pools cannot. */
function whole(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
}

/** The buffers that go back with answers. */
function buffersOf(answers: readonly CodecAnswer[]): ArrayBuffer[] {
  return answers.flatMap((answer) =>
    "output" in answer && answer.output instanceof Uint8Array && answer.output.buffer instanceof ArrayBuffer
      ? [answer.output.buffer]
      : []
  );
}

const port = nodeBuiltin("node:worker_threads")?.parentPort;
// Workers of Node have no `postMessage` of their own; those of Deno, Bun and browsers do.
if (typeof globalThis.postMessage === "function") {
  globalThis.onmessage = ({ data }: MessageEvent<readonly CodecJob[]>) => {
    const answers = data.map(answer);
    globalThis.postMessage(answers, { transfer: buffersOf(answers) });
  };
} else {
  port?.on("message", (jobs: readonly CodecJob[]) => {
    const answers = jobs.map(answer);
    port.postMessage(answers, buffersOf(answers));
  });
}
