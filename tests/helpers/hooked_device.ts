/** Something that a device is asked to do. */
export interface GpuCall {
  readonly op: string;
  /**
   * `called`: about to be done. For what gives a promise, `asked`: the caller waits; `settled`: it is about to go on.
   */
  readonly phase: "called" | "asked" | "settled";
}

type Hook = (call: GpuCall) => void;

/** Calls on a device, its queue and its buffers around which something may happen. */
const DEVICE_CALLS = new Set(["createBuffer", "createCommandEncoder", "popErrorScope"]);
const QUEUE_CALLS = new Set(["submit", "writeBuffer", "onSubmittedWorkDone"]);
const BUFFER_CALLS = ["mapAsync", "getMappedRange"] as const;

/** `device` with something to be done around what a save asks of it: a step of the training, or its loss. */
export function hookedDevice(device: GPUDevice, hook: Hook): GPUDevice {
  const queue = hooked(device.queue, QUEUE_CALLS, hook);
  return hooked(device, DEVICE_CALLS, hook, (key, result) => {
    if (key === "createBuffer") hookBuffer(result as GPUBuffer, hook);
    return result;
  }, { queue });
}

function hooked<T extends object>(
  target: T,
  calls: ReadonlySet<string>,
  hook: Hook,
  made: (key: string, result: unknown) => unknown = (_, result) => result,
  own: Readonly<Record<string, unknown>> = {},
): T {
  return new Proxy(target, {
    get(_, key) {
      if (typeof key === "string" && key in own) return own[key];
      // Native objects know themselves only, and not what stands for them.
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      const call = value as (...args: unknown[]) => unknown;
      if (typeof key !== "string" || !calls.has(key)) return call.bind(target);
      return (...args: unknown[]) => made(key, around(key, hook, () => call.apply(target, args)));
    },
  });
}

/** A buffer is handed to native calls, which take no stand-in: so the methods of this one are replaced. */
function hookBuffer(buffer: GPUBuffer, hook: Hook): void {
  for (const op of BUFFER_CALLS) {
    const call = (buffer[op] as (...args: unknown[]) => unknown).bind(buffer);
    Object.defineProperty(buffer, op, {
      value: (...args: unknown[]) => around(op, hook, () => call(...args)),
      configurable: true,
    });
  }
}

function around(op: string, hook: Hook, work: () => unknown): unknown {
  hook({ op, phase: "called" });
  const result = work();
  return result instanceof Promise ? awaited(op, hook, result) : result;
}

async function awaited(op: string, hook: Hook, promise: Promise<unknown>): Promise<unknown> {
  promise.catch(() => {});
  // Nothing else runs until the caller has reached its await.
  await Promise.resolve();
  hook({ op, phase: "asked" });
  try {
    return await promise;
  } finally {
    hook({ op, phase: "settled" });
  }
}
