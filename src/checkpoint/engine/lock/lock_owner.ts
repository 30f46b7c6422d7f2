import { type JsonValue, parseCanonicalJson, toCanonicalJson } from "../../../base/canonical_json.ts";
import { ownProcessMark, type ProcessState, stateOfProcess } from "../../../base/process_mark.ts";
import { readSystemFile } from "../../../base/system_file.ts";

/** Who writes to a directory, as its lock file says. An unknown field is `""`, an unknown `pid` 0. */
export interface LockOwner {
  /** Random, and different for every lock that is taken. */
  readonly token: string;
  /** The run that the engine writes. */
  readonly runId: string;
  /** Number of its process. */
  readonly pid: number;
  /** Boot, process namespace, number and start of the process; see `ownProcessMark`. */
  readonly mark: string;
  /** Its machine's name. */
  readonly host: string;
  /** The machine's own id, which outlives a boot. */
  readonly machineId: string;
  /** When it was taken, for people to read. Nothing is decided by it. */
  readonly since: string;
}

/** What a process knows of itself. */
export type LockIdentity = Pick<LockOwner, "pid" | "mark" | "host" | "machineId">;

/** Hexadecimal digits of a mark that name the boot. */
const BOOT_DIGITS = 32;
const TEXT_FIELDS = ["token", "runId", "mark", "host", "machineId", "since"] as const;

/** This process. */
export function ownIdentity(): LockIdentity {
  const { pid, env } = hostProcess();
  return {
    pid: pid ?? 0,
    mark: ownProcessMark() ?? "",
    host: readText("/proc/sys/kernel/hostname") ?? env?.HOSTNAME ?? env?.COMPUTERNAME ?? "",
    machineId: readText("/etc/machine-id") ?? "",
  };
}

/**
 * Whether the owner of a lock still runs, as far as that can be proved from here:
 * - a process of this boot and this namespace of process numbers: `/proc` says it, and a number that was used again
 *   is told from the old one by when it started;
 * - one of an earlier boot of this very machine is dead;
 * - where there is no `/proc`, one of this host is dead when no process has its number.
 *
 * All else is `unknown`: another machine, another container, a process whose number is taken.
 */
export function stateOfOwner(owner: LockOwner, self: LockIdentity = ownIdentity()): ProcessState {
  if (owner.mark !== "") {
    const state = stateOfProcess(owner.mark);
    return state === "unknown" && isOfEarlierBoot(owner, self) ? "dead" : state;
  }
  const isSameHost = owner.host !== "" && owner.host === self.host && self.mark === "";
  return isSameHost && owner.pid > 0 && isGone(owner.pid) ? "dead" : "unknown";
}

/** The text of a lock file: the same for equal owners. */
export function encodeOwner({ token, runId, pid, mark, host, machineId, since }: LockOwner): string {
  return toCanonicalJson({ token, runId, pid, mark, host, machineId, since });
}

/** The owner in a lock file, or `undefined` when the text is none of ours. */
export function decodeOwner(text: string): LockOwner | undefined {
  let json: JsonValue;
  try {
    json = parseCanonicalJson(text, "the lock file");
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) return undefined;
  const { pid } = json;
  if (typeof pid !== "number") return undefined;
  const texts: Partial<Record<(typeof TEXT_FIELDS)[number], string>> = {};
  for (const field of TEXT_FIELDS) {
    const value = json[field];
    if (typeof value !== "string") return undefined;
    texts[field] = value;
  }
  const { token = "", runId = "", mark = "", host = "", machineId = "", since = "" } = texts;
  return { token, runId, pid, mark, host, machineId, since };
}

function isOfEarlierBoot(owner: LockOwner, self: LockIdentity): boolean {
  return owner.machineId !== "" && owner.machineId === self.machineId && owner.host === self.host &&
    self.mark !== "" && owner.mark.slice(0, BOOT_DIGITS) !== self.mark.slice(0, BOOT_DIGITS);
}

interface HostProcess {
  readonly pid?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
  kill?(pid: number, signal: number): unknown;
}

function hostProcess(): HostProcess {
  return (globalThis as { process?: HostProcess }).process ?? {};
}

/** Signal 0 is not delivered: it only asks whether the process exists. */
function isGone(pid: number): boolean {
  try {
    hostProcess().kill?.(pid, 0);
    return false;
  } catch (error) {
    return (error as { code?: unknown }).code === "ESRCH";
  }
}

function readText(path: string): string | undefined {
  try {
    return readSystemFile(path);
  } catch {
    return undefined;
  }
}
