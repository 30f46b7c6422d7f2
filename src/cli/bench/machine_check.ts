import { CairnError } from "../../base/errors.ts";
import { nodeBuiltin } from "../../base/node_builtin.ts";
import { VERSION } from "../../container/version.ts";
import { GpuDevice } from "../../gpu/gpu_device.ts";
import { thisHost } from "../../gpu/host.ts";

/** Limits that decide how large a model may be. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** What this machine has for training and saving. */
export interface MachineCheck {
  readonly cairn: string;
  /** Such as `deno 2.9.5`. */
  readonly runtime: string;
  readonly platform: string;
  readonly gpu?: GpuCheck | undefined;
  /** What is missing, each with what to do. */
  readonly missing: readonly string[];
}

/** What is known of the GPU that was found. */
export interface GpuCheck {
  readonly adapter: string;
  /** `native`: `navigator.gpu`. `dawn`: the npm package `webgpu`. */
  readonly provider: string;
  readonly isCpuAdapter: boolean;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
}

/** Looks for a GPU as a training would, and for what a save uses. */
export async function checkMachine(): Promise<MachineCheck> {
  const missing: string[] = [];
  const { runtime, platform } = thisHost();
  const { versions } =
    (globalThis as { process?: { versions?: Readonly<Record<string, string>> } }).process ?? {};
  if (nodeBuiltin("node:worker_threads") === undefined) {
    missing.push(
      "threads (node:worker_threads): saves are compressed on the main thread; use a newer runtime",
    );
  }
  let gpu: GpuCheck | undefined;
  try {
    gpu = await checkGpu();
    if (gpu.isCpuAdapter) {
      missing.push(
        "a GPU: the adapter is software on the CPU, which is right but slow; install the driver of the GPU's maker",
      );
    }
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    missing.push(error.message);
  }
  return {
    cairn: VERSION,
    runtime: `${runtime} ${versions?.[runtime] ?? ""}`.trim(),
    platform,
    gpu,
    missing,
  };
}

async function checkGpu(): Promise<GpuCheck> {
  const device = await GpuDevice.open();
  try {
    return {
      adapter: device.adapterName,
      provider: device.provider,
      isCpuAdapter: device.isCpuAdapter,
      limits: Object.fromEntries(LIMITS.map((name) => [name, device.limits[name]])),
      features: [...device.features].map(String).sort(),
    };
  } finally {
    await device.close();
  }
}
