import { GpuDevice } from "../../src/gpu/gpu_device.ts";

/** Limits of a device that a test makes smaller. */
export interface LoweredLimits {
  readonly maxStorageBufferBindingSize?: number;
  readonly maxBufferSize?: number;
}

/**
 * Runs `body` on the device of `gpu` as if that had lower limits. No device can be asked for limits below WebGPU's
 * defaults, so that all that shows of them is what `limits` says.
 */
export async function withLimits<T>(
  gpu: GpuDevice,
  lowered: LoweredLimits,
  body: (limited: GpuDevice) => Promise<T>,
): Promise<T> {
  const limited = await GpuDevice.open({
    device: standIn(gpu.device, { limits: standIn(gpu.device.limits, lowered) }),
  });
  try {
    const result = await body(limited);
    const left = limited.counters.buffers;
    if (left !== 0) throw new Error(`${left} live GPU buffers are left on the limited device`);
    return result;
  } finally {
    await limited.close();
  }
}

/** `target` with some of its properties replaced. */
function standIn<T extends object>(target: T, own: object): T {
  return new Proxy(target, {
    get(_, key) {
      if (key in own) return Reflect.get(own, key);
      // Native objects know themselves only, and not what stands for them.
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
