import { describe, expect, test } from "bun:test";
import { adapterNameOf, isCpuAdapter } from "../../src/gpu/adapter_name.ts";

function adapterInfo(fields: Partial<GPUAdapterInfo>): GPUAdapterInfo {
  return { vendor: "", architecture: "", device: "", description: "", ...fields } as GPUAdapterInfo;
}

describe("adapterNameOf", () => {
  test("is the description where there is one", () => {
    const info = adapterInfo({
      vendor: "65541",
      device: "0",
      description: "llvmpipe (LLVM 15.0.6, 256 bits)",
    });
    expect(adapterNameOf(info)).toBe("llvmpipe (LLVM 15.0.6, 256 bits)");
  });

  test("is made of the other fields in a browser, which gives no description", () => {
    expect(adapterNameOf(adapterInfo({ vendor: "nvidia", architecture: "ampere" }))).toBe("nvidia ampere");
  });

  test("is never empty", () => {
    expect(adapterNameOf(adapterInfo({}))).toBe("unknown adapter");
    expect(adapterNameOf(undefined)).toBe("unknown adapter");
  });
});

describe("isCpuAdapter", () => {
  const rows: [Partial<GPUAdapterInfo>, boolean][] = [
    [{ description: "llvmpipe (LLVM 15.0.6, 256 bits)" }, true],
    [{ architecture: "swiftshader" }, true],
    [{ device: "Microsoft Basic Render Driver" }, true],
    [{ vendor: "mesa", architecture: "software" }, true],
    [{ isFallbackAdapter: true }, true],
    [{ vendor: "nvidia", architecture: "hopper", description: "NVIDIA H200" }, false],
    [{ vendor: "apple", architecture: "metal-3" }, false],
    [{ description: "Intel(R) Warpspeed 9" }, false],
  ];
  for (const [info, expected] of rows) {
    test(`is ${expected} for ${JSON.stringify(info)}`, () =>
      expect(isCpuAdapter(adapterInfo(info))).toBe(expected));
  }
  test("is false where nothing is known", () => expect(isCpuAdapter(undefined)).toBe(false));
});
