/** Everything that the package exports, whichever door it is behind. */
export * from "../../mod.ts";
export * from "../../src/doors/compat.ts";
export * from "../../src/doors/container.ts";
export * from "../../src/doors/data.ts";
export * from "../../src/doors/engine.ts";
export * from "../../src/doors/evaluate.ts";
export * from "../../src/doors/exchange.ts";
export * from "../../src/doors/gpu.ts";
export * from "../../src/doors/log.ts";
export * from "../../src/doors/mpi.ts";
export * from "../../src/doors/ranks.ts";
export * from "../../src/doors/s3.ts";
export * from "../../src/doors/storage.ts";
export * from "../../src/doors/train.ts";
