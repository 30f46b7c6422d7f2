import type { GpuHost } from "../../src/gpu/host.ts";

/** What a made-up adapter is like, and what it does when it is asked for a device. */
export interface FakeAdapterOptions {
  limits?: Record<string, number>;
  features?: string[];
  info?: Partial<GPUAdapterInfo>;
  requestDevice?: (descriptor: GPUDeviceDescriptor) => GPUDevice;
}

/** A device that can do nothing but be held, lost and destroyed. */
export function fakeDevice(
  options: { limits?: Record<string, number>; info?: Partial<GPUAdapterInfo> } = {},
): GPUDevice & {
  destroyed: number;
} {
  const device = {
    destroyed: 0,
    limits: { maxBufferSize: 1024, maxStorageBufferBindingSize: 1024, ...options.limits },
    features: new Set(),
    adapterInfo: fakeInfo(options.info),
    lost: new Promise(() => {}),
    addEventListener(): void {},
    removeEventListener(): void {},
    destroy(): void {
      device.destroyed += 1;
    },
  };
  return device as unknown as GPUDevice & { destroyed: number };
}

export function fakeAdapter(options: FakeAdapterOptions = {}): GPUAdapter {
  return {
    limits: options.limits ?? {},
    features: new Set(options.features),
    info: fakeInfo(options.info),
    requestDevice: (descriptor: GPUDeviceDescriptor = {}) =>
      new Promise((resolve) => resolve(options.requestDevice?.(descriptor) ?? fakeDevice())),
  } as unknown as GPUAdapter;
}

/** A `GPU` that answers with these adapters, one after the other, and remembers what it was asked. */
export function fakeGpu(...adapters: (GPUAdapter | null)[]): GPU & { asked: GPURequestAdapterOptions[] } {
  const asked: GPURequestAdapterOptions[] = [];
  const requestAdapter = (options: GPURequestAdapterOptions): Promise<GPUAdapter | null> => {
    asked.push(options);
    return Promise.resolve(adapters[asked.length - 1] ?? null);
  };
  return { asked, requestAdapter } as unknown as GPU & { asked: GPURequestAdapterOptions[] };
}

/** A runtime; by default Bun on Linux, with no `navigator.gpu` and without the package. */
export function fakeHost(host: Partial<GpuHost> = {}): GpuHost & { imported: string[] } {
  const imported: string[] = [];
  return {
    runtime: "bun",
    platform: "linux",
    navigatorGpu: undefined,
    ...host,
    imported,
    importPackage: (specifier) => {
      imported.push(specifier);
      return host.importPackage?.(specifier) ?? Promise.reject(missingPackage());
    },
  };
}

/** What Node throws for a package that is not there. */
export function missingPackage(): Error {
  return Object.assign(new Error("Cannot find package 'webgpu'"), { code: "ERR_MODULE_NOT_FOUND" });
}

function fakeInfo(info: Partial<GPUAdapterInfo> = {}): GPUAdapterInfo {
  return { vendor: "", architecture: "", device: "", description: "", ...info } as GPUAdapterInfo;
}
