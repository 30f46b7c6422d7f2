import { nodeBuiltin } from "./node_builtin.ts";

interface Permissions {
  querySync(what: { name: "read"; path: string }): { state: string };
}

/**
 * The text of a small file of the system, such as those in `/proc`. Throws what the host throws; the code is `EACCES`
 * where the program may not read it, and `ENOSYS` where there is no file system.
 *
 * Deno stops a program at a terminal and asks its user for a permission that was not given. A training run must not
 * stop for that, so the permission counts as denied.
 */
export function readSystemFile(path: string): string {
  return access(path).readFileSync(path, "utf8").trim();
}

/** Where a link of the system points. Throws as {@link readSystemFile}. */
export function readSystemLink(path: string): string {
  return access(path).readlinkSync(path);
}

function access(path: string): typeof import("node:fs") {
  const fs = nodeBuiltin("node:fs");
  if (fs === undefined) throw Object.assign(new Error("There is no file system"), { code: "ENOSYS" });
  const { permissions } = (globalThis as { Deno?: { permissions?: Permissions } }).Deno ?? {};
  if (permissions !== undefined && permissions.querySync({ name: "read", path }).state !== "granted") {
    throw Object.assign(new Error(`Reading "${path}" is not allowed`), { code: "EACCES" });
  }
  return fs;
}
