import { describe, expect, test } from "bun:test";
import { requestDevice } from "../../src/gpu/request_device.ts";
import { fakeAdapter, fakeDevice } from "../helpers/fake_gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";

describe("requestDevice", () => {
  test("asks for the adapter's own limits, and only for those it has", async () => {
    const asked: GPUDeviceDescriptor[] = [];
    const adapter = fakeAdapter({
      limits: { maxBufferSize: 5_000, maxStorageBufferBindingSize: 4_096, maxTextureDimension1D: 7 },
      features: ["subgroups", "depth-clip-control"],
      requestDevice: (descriptor) => {
        asked.push(descriptor);
        return fakeDevice();
      },
    });
    await requestDevice(() => Promise.resolve(adapter));
    expect(asked).toEqual([{
      label: "cairn",
      requiredLimits: { maxBufferSize: 5_000, maxStorageBufferBindingSize: 4_096 },
      requiredFeatures: ["subgroups"],
    }]);
  });

  test("asks a fresh adapter without limits when they were refused, because Dawn's adapters serve one request", async () => {
    const plain = fakeDevice();
    const asked: GPUDeviceDescriptor[] = [];
    const refusing = fakeAdapter({
      limits: { maxBufferSize: 5_000 },
      requestDevice: () => {
        throw new Error("limit refused");
      },
    });
    const accepting = fakeAdapter({
      requestDevice: (descriptor) => {
        asked.push(descriptor);
        return plain;
      },
    });
    const adapters = [refusing, accepting];
    const { device, adapter } = await requestDevice(() => Promise.resolve(adapters.shift() ?? refusing));
    expect(device).toBe(plain);
    expect(adapter).toBe(accepting);
    expect(asked).toEqual([{ label: "cairn" }]);
  });

  test("names the adapter when it gives no device at all", async () => {
    const refusing = fakeAdapter({
      info: { description: "Old GPU 1.0" },
      requestDevice: () => {
        throw new Error("no compute shaders");
      },
    });
    const error = await thrownBy(() => requestDevice(() => Promise.resolve(refusing)));
    expect(error.code).toBe("no_adapter");
    expect(error.message).toBe(
      'Cannot open a device on the adapter "Old GPU 1.0": no compute shaders; update its driver',
    );
  });
});
