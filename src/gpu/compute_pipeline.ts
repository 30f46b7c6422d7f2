import { CairnError } from "../base/errors.ts";
import { inErrorScopes } from "./error_scopes.ts";

/** A compute pipeline to build. The entry point is `main`, all bindings are in group 0, the layout is "auto". */
export interface PipelineSpec {
  /** Names the kernel in errors and traces. */
  readonly label: string;
  /** WGSL. */
  readonly code: string;
  /** Values of its `override` constants. */
  readonly constants: Readonly<Record<string, number>>;
}

/** Two specs with the same key give the same pipeline. */
export function pipelineKey(spec: PipelineSpec): string {
  const constants = Object.entries(spec.constants).sort(([a], [b]) => a < b ? -1 : 1);
  return JSON.stringify([constants, spec.code]);
}

/**
 * Compiles `spec`.
 * @throws CairnError `gpu_validation` with the kernel's label and what the compiler said, by line.
 */
export async function compilePipeline(device: GPUDevice, spec: PipelineSpec): Promise<GPUComputePipeline> {
  const { label, code, constants } = spec;
  const shader = inErrorScopes(device, label, () => device.createShaderModule({ label, code }));
  const pipeline = inErrorScopes(device, label, () =>
    device.createComputePipelineAsync({
      label,
      layout: "auto",
      compute: { module: shader.value, entryPoint: "main", constants },
    }));
  const [built] = await Promise.allSettled([pipeline.value]);
  const cause = await shader.error ?? await pipeline.error ??
    (built.status === "rejected" ? built.reason : undefined);
  if (cause === undefined && built.status === "fulfilled") return built.value;
  const said = await compilerMessages(shader.value, code) ?? reasonOf(cause);
  throw new CairnError("gpu_validation", `Cannot compile kernel "${label}": ${said}`, {
    details: { op: label },
    cause,
  });
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.trim() : String(cause);
}

/** The compiler's errors with line and source, or `undefined` when it had none (a wrong constant, a lost device). */
async function compilerMessages(shader: GPUShaderModule, code: string): Promise<string | undefined> {
  const lines = code.split("\n");
  try {
    const { messages } = await shader.getCompilationInfo();
    const errors = messages.filter((message) => message.type === "error");
    if (errors.length === 0) return undefined;
    return errors.map(({ lineNum, linePos, message }) => {
      const source = lines[lineNum - 1]?.trim().slice(0, 100);
      return `line ${lineNum}, column ${linePos}: ${firstLine(message)}` +
        (source ? ` in \`${source}\`` : "");
    }).join("; ");
  } catch {
    return undefined;
  }
}

/** Deno's compiler draws the place below its message; the line is quoted here anyway. */
function firstLine(message: string): string {
  return message.trim().split("\n")[0] ?? "";
}
