import { describe, expect, test } from "bun:test";
import { BufferUsage, MapMode } from "../../src/gpu/constants.ts";

/** The runtime's own constants: globals in Deno and in browsers, an export of the package elsewhere. */
async function runtimeConstants(): Promise<Record<string, Record<string, number>> | undefined> {
  if ("GPUBufferUsage" in globalThis) return globalThis as unknown as Record<string, Record<string, number>>;
  const name: string = "webgpu";
  const loaded = await import(name).catch(() => undefined) as {
    globals: Record<string, Record<string, number>>;
  } | undefined;
  return loaded?.globals;
}

describe("the numeric constants", () => {
  const rows = { GPUBufferUsage: BufferUsage, GPUMapMode: MapMode };
  for (const [global, ours] of Object.entries(rows)) {
    test(`are the ones of ${global}`, async () => {
      const theirs = (await runtimeConstants())?.[global];
      if (theirs === undefined) {
        console.log(`SKIP gpu: this runtime has no ${global} to compare with`);
        return;
      }
      for (const [name, value] of Object.entries(ours)) expect([name, theirs[name]]).toEqual([name, value]);
    });
  }
});
