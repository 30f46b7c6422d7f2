/*
 * The module of a worker of `CodecPool`: takes a `CodecJob`, answers with a `CodecAnswer`. It is started, never
 * imported.
 */
import { CairnError } from "../../base/errors.ts";
import { nodeBuiltin } from "../../base/node_builtin.ts";
import { encodeSmallest } from "./choose.ts";
import type { CodecAnswer, CodecJob } from "./codec_pool.ts";
import { codecByName } from "./table.ts";

function answer(job: CodecJob): CodecAnswer {
  const { id, dtype } = job;
  try {
    if ("raw" in job) {
      const encoded = encodeSmallest(job.raw, dtype, job.names);
      return { id, encoded: { ...encoded, stored: whole(encoded.stored) } };
    }
    return { id, raw: whole(codecByName(job.name).decode(job.stored, job.rawLength, dtype)) };
  } catch (error) {
    const code = error instanceof CairnError ? error.code : undefined;
    return { id, failure: { code, message: error instanceof Error ? error.message : String(error) } };
  }
}

/** Bytes that have a buffer of their own, which can be transferred: one that Node pools cannot. */
function whole(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
}

/** The buffer that goes back with an answer. */
function buffersOf(answer: CodecAnswer): ArrayBuffer[] {
  const bytes = "encoded" in answer ? answer.encoded.stored : "raw" in answer ? answer.raw : undefined;
  return bytes?.buffer instanceof ArrayBuffer ? [bytes.buffer] : [];
}

const port = nodeBuiltin("node:worker_threads")?.parentPort;
// Workers of Node have no `postMessage` of their own; those of Deno, Bun and browsers do.
if (typeof globalThis.postMessage === "function") {
  globalThis.onmessage = ({ data }: MessageEvent<CodecJob>) => {
    const result = answer(data);
    globalThis.postMessage(result, { transfer: buffersOf(result) });
  };
} else {
  port?.on("message", (job: CodecJob) => {
    const result = answer(job);
    port.postMessage(result, buffersOf(result));
  });
}
