/* A worker that takes no jobs. It is started by codec_pool_test.ts. */
globalThis.onmessage = () => {};
