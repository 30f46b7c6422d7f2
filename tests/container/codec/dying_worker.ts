/* A worker that dies of its first job. It is started by codec_pool_test.ts. */
globalThis.onmessage = () => {
  throw new Error("out of luck");
};
