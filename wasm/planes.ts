/**
 * The inner loops of the codec `planes`, in AssemblyScript: TypeScript's syntax, compiled to WebAssembly by
 * `node tools/build_wasm.mjs`, which writes src/container/codec/planes/planes_wasm.ts. Their twins in plain
 * TypeScript, for reading and for hosts without WebAssembly, are in src/container/codec/planes/portable_kernels.ts;
 * tests hold that both give the same bytes, and that the module in the tree is the one this source makes.
 *
 * All parameters are addresses and counts in the module's one memory, which the caller lays out. Nothing here
 * checks them. Addresses have room for 64 bytes more than what is behind them.
 */
export { merge, split, splitKept } from "./split";
export { compact, expand, ones } from "./zeros";
export { histogram, range } from "./count";
export { code } from "./code";
export { encode, packEven, pair } from "./encode";
export { decode, triple } from "./decode";
