/* A worker that takes a job, writes a part of its result over the input, and dies. It is started by codec_pool_test.ts. */
import type { ThreadMessage } from "../../../src/container/codec/codec_thread.ts";
import { JobBoard } from "../../../src/container/codec/job_board.ts";

let board: JobBoard | undefined;
let thread = 0;
globalThis.onmessage = ({ data }: MessageEvent<ThreadMessage>) => {
  if (data.kind === "board") {
    board = new JobBoard(data.board);
    thread = data.thread;
    return;
  }
  while (board?.take(thread, () => true) === "none") board.sleep(board.bell);
  new Uint8Array(data.memory).fill(0xee, 0, 100);
  throw new Error("out of luck");
};
