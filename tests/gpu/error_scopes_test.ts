import { describe, expect, test } from "bun:test";
import { inErrorScopes } from "../../src/gpu/error_scopes.ts";
import { thrownBy } from "../helpers/thrown.ts";

/** A device whose scopes give these errors: drivers that run out of memory on demand are rare. */
function deviceWith(
  errors: Partial<Record<GPUErrorFilter, string>>,
): { device: GPUDevice; open: GPUErrorFilter[] } {
  const open: GPUErrorFilter[] = [];
  const device = {
    pushErrorScope: (filter: GPUErrorFilter) => void open.push(filter),
    popErrorScope: () => {
      const message = errors[open.pop() ?? "internal"];
      return Promise.resolve(message === undefined ? null : { message });
    },
  };
  return { device: device as unknown as GPUDevice, open };
}

describe("inErrorScopes", () => {
  const rows: [Partial<Record<GPUErrorFilter, string>>, string, string][] = [
    [{ "out-of-memory": "no room" }, "out_of_memory", '"slab 3" ran out of GPU memory: no room'],
    [{ validation: "bad usage\n" }, "gpu_validation", '"slab 3" is not valid for WebGPU: bad usage'],
    [{ internal: "driver" }, "gpu_validation", '"slab 3" is not valid for WebGPU: driver'],
    [
      { validation: "the buffer is invalid", "out-of-memory": "no room for it" },
      "out_of_memory",
      '"slab 3" ran out of GPU memory: no room for it',
    ],
  ];
  for (const [errors, code, message] of rows) {
    test(`turns ${JSON.stringify(errors)} into ${code}`, async () => {
      const { device } = deviceWith(errors);
      const { value, error } = inErrorScopes(device, "slab 3", () => 5);
      expect(value).toBe(5);
      const caught = await error;
      expect([caught?.code, caught?.message, caught?.details]).toEqual([code, message, { op: "slab 3" }]);
    });
  }

  test("has nothing to say when all went well", async () => {
    expect(await inErrorScopes(deviceWith({}).device, "slab 3", () => 5).error).toBe(undefined);
  });

  test("closes its scopes before it returns, also around async work and when the work throws", async () => {
    const { device, open } = deviceWith({});
    void inErrorScopes(device, "async", () => new Promise(() => {}));
    expect(open).toEqual([]);
    await thrownBy(() =>
      inErrorScopes(device, "throws", () => {
        throw new Error("mine");
      })
    );
    expect(open).toEqual([]);
  });

  test("does not reject when the device is gone", async () => {
    const device = {
      pushErrorScope: () => {},
      popErrorScope: () => Promise.reject(new Error("device lost")),
    } as unknown as GPUDevice;
    expect(await inErrorScopes(device, "lost", () => 5).error).toBe(undefined);
  });
});
