/**
 * A built-in module of Node, Bun or Deno, or `undefined` where there is none (a browser).
 * Asked for at call time, so that importing Cairn does no work and no bundler sees a `node:` import.
 */
export function nodeBuiltin<Name extends keyof NodeBuiltins>(name: Name): NodeBuiltins[Name] | undefined {
  const host = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  return host?.getBuiltinModule?.(name) as NodeBuiltins[Name] | undefined;
}

/** The built-in modules that Cairn uses. */
export interface NodeBuiltins {
  "node:zlib": typeof import("node:zlib");
  "node:fs": typeof import("node:fs");
  "node:http": typeof import("node:http");
  "node:os": typeof import("node:os");
  "node:path": typeof import("node:path");
  "node:util": typeof import("node:util");
  "node:url": typeof import("node:url");
  "node:worker_threads": typeof import("node:worker_threads");
}
