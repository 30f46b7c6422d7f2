import type { OptionNames } from "../base/options/options.ts";
import { CairnError } from "../base/errors.ts";
import { type GpuHost, type RuntimeName, thisHost } from "./host.ts";

/** Where a GPU comes from. All optional: without any, the first that is found is taken. */
export interface GpuOptions {
  /** A device that you opened; Cairn uses it and never destroys it. */
  device?: GPUDevice | undefined;
  /** An entry point such as `navigator.gpu`; Cairn opens its own device on it. Hold it as long as the device lives. */
  gpu?: GPU | undefined;
  /** "native" takes only `navigator.gpu`; "dawn" only the npm package `webgpu` (Bun, Node, Deno). */
  provider?: "native" | "dawn" | undefined;
  /** Which adapter to prefer where there are two. Default "high-performance". */
  powerPreference?: "low-power" | "high-performance" | undefined;
  /**
   * The most bytes that all buffers on it may take together: what would take more is refused with `out_of_memory`
   * before anything is allocated. Default: the machine's memory on an adapter that is a processor; unknown on others,
   * since WebGPU does not tell: there the first allocation that fails is the end of it.
   */
  memoryBytes?: number | undefined;
}

/** Every option of {@link GpuOptions}. */
export const GPU_OPTIONS: OptionNames<GpuOptions> = {
  device: true,
  gpu: true,
  provider: true,
  powerPreference: true,
  memoryBytes: true,
};

/** Where the GPU came from: `navigator.gpu`, the npm package `webgpu`, or the caller's options. */
export type GpuProvider = "native" | "dawn" | "given";

/** An entry point to WebGPU, and where it was found. */
export interface FoundGpu {
  readonly gpu: GPU;
  readonly provider: GpuProvider;
}

type CreateGpu = (flags: string[]) => GPU;

/**
 * What the package's `create()` returned. Bun crashes when this object is collected while one of its devices lives,
 * so it is held here for good, and made once.
 */
const heldGpus = new Map<CreateGpu, GPU>();

/**
 * Finds WebGPU: the option `gpu`, then `navigator.gpu`, then the npm package `webgpu`.
 * @throws CairnError `no_webgpu` that says what to install.
 */
export async function findGpu(options: GpuOptions = {}, host: GpuHost = thisHost()): Promise<FoundGpu> {
  if (options.gpu !== undefined) return { gpu: options.gpu, provider: "given" };
  if (options.provider !== "dawn" && host.navigatorGpu !== undefined) {
    return { gpu: host.navigatorGpu, provider: "native" };
  }
  if (options.provider === "native") {
    throw new CairnError(
      "no_webgpu",
      `Cannot find WebGPU: this runtime (${host.runtime}) has no navigator.gpu, and the option provider is "native"; ` +
        nativeAdvice(host.runtime),
    );
  }
  return { gpu: await importDawn(host), provider: "dawn" };
}

function nativeAdvice(runtime: RuntimeName): string {
  if (runtime === "browser") {
    return "use a browser with WebGPU, on a page that is served over https or from localhost";
  }
  return 'leave the option out, or use provider "dawn" with the npm package webgpu';
}

async function importDawn(host: GpuHost): Promise<GPU> {
  if (host.runtime === "browser") {
    throw new CairnError(
      "no_webgpu",
      `Cannot find WebGPU: this page has no navigator.gpu; ${nativeAdvice("browser")}`,
    );
  }
  const create = createFunctionOf(await importPackage(host));
  const held = heldGpus.get(create);
  if (held !== undefined) return held;
  const gpu = create([]);
  heldGpus.set(create, gpu);
  return gpu;
}

async function importPackage(host: GpuHost): Promise<unknown> {
  try {
    return await host.importPackage("webgpu");
  } catch (cause) {
    // A module that Deno loaded from a registry has no import map for the bare name.
    const retried = host.runtime === "deno" && isMissingPackage(cause)
      ? await host.importPackage("npm:webgpu@^0.6.2").catch(() => undefined)
      : undefined;
    if (retried !== undefined) return retried;
    throw new CairnError("no_webgpu", importFailure(host.runtime, cause), { cause });
  }
}

function isMissingPackage(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (code === "ERR_MODULE_NOT_FOUND") return true;
  return /cannot find (module|package)|could not resolve|not a dependency|not prefixed|could not find/i
    .test(String(message));
}

function importFailure(runtime: RuntimeName, cause: unknown): string {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (!isMissingPackage(cause)) {
    const advice = runtime === "deno"
      ? "in Deno it needs --allow-ffi, --allow-read and --allow-env; without the option provider Deno's own WebGPU is used"
      : "install it again on this machine: it holds a binary for linux x64 and arm64, macOS, and windows x64 and arm64";
    return `Cannot load the npm package webgpu: ${reason}; ${advice}`;
  }
  const install =
    { bun: "bun add webgpu", node: "npm install webgpu", deno: "deno add npm:webgpu", browser: "" }[runtime];
  const missing = runtime === "deno" ? "" : "this runtime has no navigator.gpu, and ";
  return `Cannot find WebGPU: ${missing}the npm package webgpu is not installed; run \`${install}\`` +
    (runtime === "deno"
      ? ", or leave the option provider out to use Deno's own WebGPU"
      : ", or use Deno, which has WebGPU built in");
}

function createFunctionOf(module: unknown): CreateGpu {
  const { create } = module as { create?: unknown };
  if (typeof create === "function") return create as CreateGpu;
  throw new CairnError(
    "no_webgpu",
    "The npm package webgpu has no function create(); install version 0.6.2 or newer",
  );
}

/**
 * Asks `found` for an adapter: the preferred one, else a software one.
 * @throws CairnError `no_adapter` that says what to install on this platform.
 */
export async function requestAdapter(
  found: FoundGpu,
  options: GpuOptions = {},
  host: GpuHost = thisHost(),
): Promise<GPUAdapter> {
  const powerPreference = options.powerPreference ?? "high-performance";
  const adapter = await found.gpu.requestAdapter({ powerPreference }) ??
    await found.gpu.requestAdapter({ forceFallbackAdapter: true });
  if (adapter !== null) return adapter;
  const where = {
    native: "navigator.gpu",
    dawn: "the npm package webgpu (Dawn)",
    given: "the given gpu",
  }[found.provider];
  throw new CairnError("no_adapter", `Cannot find a GPU: ${where} offers no adapter; ${adapterAdvice(host)}`);
}

function adapterAdvice(host: GpuHost): string {
  if (host.runtime === "browser") {
    return "turn hardware acceleration on, or start Chromium with --enable-unsafe-webgpu";
  }
  if (host.platform === "darwin") return "WebGPU needs Metal here, which some virtual machines do not have";
  if (host.platform === "win32") {
    return "install the graphics driver of the GPU's maker (Direct3D 12 or Vulkan)";
  }
  return "install a Vulkan driver: the one of the GPU's maker, or for a machine without a GPU the software one " +
    "(Debian and Ubuntu: `apt install mesa-vulkan-drivers`; Bun and Node use Dawn, which needs Mesa 24 or newer: " +
    "Debian 12 has it in bookworm-backports)";
}
