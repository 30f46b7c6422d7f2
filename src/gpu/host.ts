/** The JavaScript runtime, as far as the search for a GPU cares. */
export type RuntimeName = "deno" | "bun" | "node" | "browser";

/** What the search for a GPU looks at. The tests put a made-up one in its place. */
export interface GpuHost {
  /** Which one runs this code: where a GPU is looked for, and what an error says to install. */
  readonly runtime: RuntimeName;
  /** As `process.platform`: "linux", "darwin", "win32"; "web" in a browser. */
  readonly platform: string;
  /** `navigator.gpu`, where there is one. */
  readonly navigatorGpu: GPU | undefined;
  /** A dynamic import. */
  importPackage(specifier: string): Promise<unknown>;
}

interface HostGlobals {
  readonly process?: { readonly versions?: Readonly<Record<string, string>>; readonly platform?: string };
  readonly navigator?: { readonly gpu?: GPU };
}

function runtimeName(versions: Readonly<Record<string, string>> | undefined): RuntimeName {
  if (versions?.deno !== undefined) return "deno";
  if (versions?.bun !== undefined) return "bun";
  return versions?.node === undefined ? "browser" : "node";
}

/** The runtime that runs this code. */
export function thisHost(): GpuHost {
  const { process, navigator } = globalThis as HostGlobals;
  return {
    runtime: runtimeName(process?.versions),
    platform: process?.platform ?? "web",
    navigatorGpu: navigator?.gpu,
    // The name is a parameter so that neither a bundler nor tsc looks for a package that is optional.
    importPackage: (specifier) => import(/* webpackIgnore: true */ /* @vite-ignore */ specifier),
  };
}
