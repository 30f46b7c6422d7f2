/*
 * What the examples in comments and pages leave out: values that a reader has by then. Each is used by one of them.
 */
declare const store: import("../../mod.ts").TensorStore;
declare const trainer: import("../../mod.ts").Trainer;
declare const otherTrainer: import("../../mod.ts").Trainer;
declare const inputs: import("../../mod.ts").HostTensor;
declare const labels: import("../../mod.ts").HostTensor;
declare const loader: import("../../mod.ts").Stateful;
declare const state: Record<string, never>;
declare const step: number;
declare const rank: number;
declare const worldSize: number;
declare const source: import("../../src/doors/container.ts").ByteSource;
declare const sink: import("../../src/doors/container.ts").ByteSink;
declare function evaluate(path: string): Promise<void>;
declare function test(name: string, body: () => Promise<void>): void;
declare const MyEngine: typeof import("../../src/doors/engine.ts").FileEngine;
declare function freshPlace(): string;
