import { CairnError } from "../base/errors.ts";
import { adapterNameOf } from "./adapter_name.ts";

/** Limits that bigger models profit from. Each is asked for at what the adapter has; the defaults are small. */
const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** Features that some kernel variants use where they are offered. */
const WANTED_FEATURES: readonly GPUFeatureName[] = ["shader-f16", "subgroups", "timestamp-query"];

/**
 * Opens a device with the adapter's own limits, or with the default limits when those are refused.
 *
 * `requestAdapter` is called for each try, because Dawn's adapters are consumed by one request.
 * @throws CairnError `no_adapter` when the adapter gives no device at all.
 */
export async function requestDevice(
  requestAdapter: () => Promise<GPUAdapter>,
): Promise<{ adapter: GPUAdapter; device: GPUDevice }> {
  const adapter = await requestAdapter();
  try {
    return { adapter, device: await adapter.requestDevice(wantedOf(adapter)) };
  } catch {
    return await requestPlainDevice(await requestAdapter());
  }
}

function wantedOf(adapter: GPUAdapter): GPUDeviceDescriptor {
  const requiredLimits: Record<string, number> = {};
  for (const name of WANTED_LIMITS) {
    const value: number | undefined = adapter.limits[name];
    if (value !== undefined) requiredLimits[name] = value;
  }
  const requiredFeatures = WANTED_FEATURES.filter((feature) => adapter.features.has(feature));
  return { label: "cairn", requiredLimits, requiredFeatures };
}

async function requestPlainDevice(adapter: GPUAdapter): Promise<{ adapter: GPUAdapter; device: GPUDevice }> {
  try {
    return { adapter, device: await adapter.requestDevice({ label: "cairn" }) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `Cannot open a device on the adapter "${
      adapterNameOf(adapter.info)
    }": ${reason}; update its driver`;
    throw new CairnError("no_adapter", message, { cause });
  }
}
