import { describe, expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { findGpu, type FoundGpu, requestAdapter } from "../../src/gpu/find_gpu.ts";
import type { GpuHost } from "../../src/gpu/host.ts";
import { fakeAdapter, fakeGpu, fakeHost, missingPackage } from "../helpers/fake_gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";

describe("the order of the search", () => {
  test("takes the given gpu before everything else", async () => {
    const gpu = fakeGpu();
    const host = fakeHost({ navigatorGpu: fakeGpu() });
    expect(await findGpu({ gpu, provider: "dawn" }, host)).toEqual({ gpu, provider: "given" });
    expect(host.imported).toEqual([]);
  });

  test("takes navigator.gpu without looking for the package", async () => {
    const navigatorGpu = fakeGpu();
    const host = fakeHost({ navigatorGpu });
    const found = await findGpu({}, host);
    expect(found.gpu).toBe(navigatorGpu);
    expect(found.provider).toBe("native");
    expect(host.imported).toEqual([]);
  });

  test("imports the package where there is no navigator.gpu", async () => {
    const gpu = fakeGpu();
    const host = fakeHost({ importPackage: () => Promise.resolve({ create: () => gpu }) });
    const found = await findGpu({}, host);
    expect(found.gpu).toBe(gpu);
    expect(found.provider).toBe("dawn");
    expect(host.imported).toEqual(["webgpu"]);
  });

  test('passes over navigator.gpu for provider "dawn"', async () => {
    const gpu = fakeGpu();
    const importPackage = () => Promise.resolve({ create: () => gpu });
    const found = await findGpu({ provider: "dawn" }, fakeHost({ navigatorGpu: fakeGpu(), importPackage }));
    expect(found.gpu).toBe(gpu);
  });

  test("calls create() once and keeps what it returned, because Bun crashes when that is collected", async () => {
    let created = 0;
    const create = (flags: string[]): GPU => {
      expect(flags).toEqual([]);
      created += 1;
      return fakeGpu();
    };
    const host = fakeHost({ importPackage: () => Promise.resolve({ create }) });
    const [first, second] = await Promise.all([findGpu({}, host), findGpu({}, host)]);
    expect(created).toBe(1);
    expect(second.gpu).toBe(first.gpu);
  });

  test("retries with an npm: specifier in Deno, where a registry module has no import map for the bare name", async () => {
    const gpu = fakeGpu();
    const importPackage = (specifier: string): Promise<unknown> =>
      specifier === "webgpu"
        ? Promise.reject(new TypeError('Relative import path "webgpu" not prefixed with / or ./ or ../'))
        : Promise.resolve({ create: () => gpu });
    const host = fakeHost({ runtime: "deno", importPackage });
    expect((await findGpu({ provider: "dawn" }, host)).gpu).toBe(gpu);
    expect(host.imported).toEqual(["webgpu", "npm:webgpu@^0.6.2"]);
  });
});

describe("without WebGPU it says what to do", () => {
  async function messageFor(host: Partial<GpuHost>, provider?: "native" | "dawn"): Promise<string> {
    const error = await thrownBy(() => findGpu({ provider }, fakeHost(host)));
    expect(error).toBeInstanceOf(CairnError);
    expect(error.code).toBe("no_webgpu");
    return error.message;
  }

  test("in Bun", async () => {
    expect(await messageFor({ runtime: "bun" })).toBe(
      "Cannot find WebGPU: this runtime has no navigator.gpu, and the npm package webgpu is not installed; " +
        "run `bun add webgpu`, or use Deno, which has WebGPU built in",
    );
  });

  test("in Node", async () => {
    expect(await messageFor({ runtime: "node" })).toBe(
      "Cannot find WebGPU: this runtime has no navigator.gpu, and the npm package webgpu is not installed; " +
        "run `npm install webgpu`, or use Deno, which has WebGPU built in",
    );
  });

  test('in Deno for provider "dawn"', async () => {
    expect(await messageFor({ runtime: "deno", navigatorGpu: fakeGpu() }, "dawn")).toBe(
      "Cannot find WebGPU: the npm package webgpu is not installed; run `deno add npm:webgpu`, " +
        "or leave the option provider out to use Deno's own WebGPU",
    );
  });

  test("in Deno when the permission to load native code is missing, without a second try", async () => {
    const refusal = Object.assign(
      new Error('Requires ffi access to "dawn.node", run again with the --allow-ffi flag'),
      {
        name: "NotCapable",
      },
    );
    const host = fakeHost({ runtime: "deno", importPackage: () => Promise.reject(refusal) });
    const error = await thrownBy(() => findGpu({ provider: "dawn" }, host));
    expect(error.message).toBe(
      'Cannot load the npm package webgpu: Requires ffi access to "dawn.node", run again with the --allow-ffi flag; ' +
        "in Deno it needs --allow-ffi, --allow-read and --allow-env; without the option provider Deno's own WebGPU is used",
    );
    expect(error.cause).toBe(refusal);
    expect(host.imported).toEqual(["webgpu"]);
  });

  test("when the package has no binary for the machine", async () => {
    expect(
      await messageFor({ importPackage: () => Promise.reject(new Error("dawn.node: invalid ELF header")) }),
    ).toBe(
      "Cannot load the npm package webgpu: dawn.node: invalid ELF header; install it again on this machine: " +
        "it holds a binary for linux x64 and arm64, macOS, and windows x64 and arm64",
    );
  });

  test("when the package is something else", async () => {
    expect(await messageFor({ importPackage: () => Promise.resolve({}) })).toBe(
      "The npm package webgpu has no function create(); install version 0.6.2 or newer",
    );
  });

  test("in a browser, where it never tries to import the package", async () => {
    const expected = "Cannot find WebGPU: this page has no navigator.gpu; use a browser with WebGPU, " +
      "on a page that is served over https or from localhost";
    const host = fakeHost({ runtime: "browser", platform: "web" });
    const error = await thrownBy(() => findGpu({}, host));
    expect(error.message).toBe(expected);
    expect(host.imported).toEqual([]);
  });

  test('for provider "native" in a runtime that has none', async () => {
    expect(
      await messageFor({ runtime: "bun", importPackage: () => Promise.reject(missingPackage()) }, "native"),
    ).toBe(
      'Cannot find WebGPU: this runtime (bun) has no navigator.gpu, and the option provider is "native"; ' +
        'leave the option out, or use provider "dawn" with the npm package webgpu',
    );
  });
});

describe("the adapter", () => {
  test("is asked for with the power preference, and high performance by default", async () => {
    const gpu = fakeGpu(fakeAdapter(), fakeAdapter());
    await requestAdapter({ gpu, provider: "given" }, {}, fakeHost());
    await requestAdapter({ gpu, provider: "given" }, { powerPreference: "low-power" }, fakeHost());
    expect(gpu.asked).toEqual([{ powerPreference: "high-performance" }, { powerPreference: "low-power" }]);
  });

  test("may be a software one where there is no other", async () => {
    const software = fakeAdapter();
    const gpu = fakeGpu(null, software);
    expect(await requestAdapter({ gpu, provider: "given" }, {}, fakeHost())).toBe(software);
    expect(gpu.asked[1]).toEqual({ forceFallbackAdapter: true });
  });

  const linuxAdvice =
    "install a Vulkan driver: the one of the GPU's maker, or for a machine without a GPU the software one " +
    "(Debian and Ubuntu: `apt install mesa-vulkan-drivers`; Bun and Node use Dawn, which needs Mesa 24 or newer: " +
    "Debian 12 has it in bookworm-backports)";
  const rows: [string, FoundGpu["provider"], Partial<GpuHost>, string][] = [
    [
      "linux with Dawn",
      "dawn",
      { platform: "linux" },
      `Cannot find a GPU: the npm package webgpu (Dawn) offers no adapter; ${linuxAdvice}`,
    ],
    [
      "linux in Deno",
      "native",
      { runtime: "deno" },
      `Cannot find a GPU: navigator.gpu offers no adapter; ${linuxAdvice}`,
    ],
    [
      "macOS",
      "native",
      { runtime: "deno", platform: "darwin" },
      "Cannot find a GPU: navigator.gpu offers no adapter; WebGPU needs Metal here, which some virtual machines do not have",
    ],
    [
      "windows",
      "given",
      { platform: "win32" },
      "Cannot find a GPU: the given gpu offers no adapter; " +
      "install the graphics driver of the GPU's maker (Direct3D 12 or Vulkan)",
    ],
    [
      "a browser",
      "native",
      { runtime: "browser", platform: "web" },
      "Cannot find a GPU: navigator.gpu offers no adapter; " +
      "turn hardware acceleration on, or start Chromium with --enable-unsafe-webgpu",
    ],
  ];
  for (const [where, provider, host, message] of rows) {
    test(`that is missing on ${where} leads to advice for that platform`, async () => {
      const error = await thrownBy(() =>
        requestAdapter({ gpu: fakeGpu(null, null), provider }, {}, fakeHost(host))
      );
      expect(error.code).toBe("no_adapter");
      expect(error.message).toBe(message);
    });
  }
});
