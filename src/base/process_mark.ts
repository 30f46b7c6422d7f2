import { hexOf } from "./hex.ts";
import { readSystemFile, readSystemLink } from "./system_file.ts";

/** What can be told of a process from outside. */
export type ProcessState = "alive" | "dead" | "unknown";

/** A mark is 32 digits of the boot, 16 of the process namespace, 8 of the number, 16 of the start. */
const MARK = /^([0-9a-f]{32})([0-9a-f]{16})([0-9a-f]{8})([0-9a-f]{16})$/;

interface Host {
  readonly pid?: number;
  kill?(pid: number, signal: number): unknown;
}

/**
 * Names this process so that others on the same machine can prove that it is gone: which boot of which machine, which
 * namespace of process numbers, its number, and when it started, as numbers are used again. 72 hexadecimal digits.
 * `undefined` where that cannot be told: outside of Linux, in a browser, and without the permission to read `/proc`.
 */
export function ownProcessMark(): string | undefined {
  const { pid } = host();
  const machineMark = machine();
  const started = pid === undefined ? undefined : startOf(pid);
  const isKnown = started !== undefined && started !== "none" && started !== "ended";
  return pid === undefined || machineMark === undefined || !isKnown
    ? undefined
    : machineMark + hexOf(pid) + started;
}

/** Whether the process of a mark still runs. `unknown` for one of another machine or boot, and for an invalid mark. */
export function stateOfProcess(mark: string): ProcessState {
  const [, boot, namespace, pidText, started] = MARK.exec(mark) ?? [];
  if (pidText === undefined || `${boot}${namespace}` !== machine()) return "unknown";
  const pid = Number.parseInt(pidText, 16);
  const found = startOf(pid);
  if (found === undefined) return "unknown";
  // Whether it is the one or another that had its number later: the one is gone.
  if (found === "ended") return "dead";
  if (found !== "none") return found === started ? "alive" : "dead";
  // Where users do not see each other's processes in /proc, only the kernel can say that there is none.
  return isGone(pid) ? "dead" : "unknown";
}

/** The boot and the namespace of process numbers. A boot's id is random, so that no two machines share one. */
function machine(): string | undefined {
  try {
    const boot = readSystemFile("/proc/sys/kernel/random/boot_id").replaceAll("-", "");
    const namespace = readSystemLink("/proc/self/ns/pid").match(/\d+/)?.[0];
    if (namespace === undefined || !/^[0-9a-f]{32}$/.test(boot)) return undefined;
    return boot + hexOf(Number(namespace), 16);
  } catch {
    return undefined;
  }
}

/**
 * When a process started; `ended` for one that is over, and only its parent has not asked how yet; `none` when none
 * is to be seen; `undefined` when that cannot be told.
 */
function startOf(pid: number): string | undefined {
  try {
    const stat = readSystemFile(`/proc/${pid}/stat`);
    // The name, in parentheses, may hold anything; the fields after it are numbers, but for the state.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state] = fields;
    const threads = Number(fields[17]);
    const ticks = Number(fields[19]);
    // The first thread may be over before the others.
    if ((state === "Z" || state === "X") && threads <= 1) return "ended";
    return Number.isSafeInteger(ticks) ? hexOf(ticks, 16) : undefined;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    return code === "ENOENT" || code === "ESRCH" ? "none" : undefined;
  }
}

/** Signal 0 is not delivered: it only asks whether the process exists. */
function isGone(pid: number): boolean {
  try {
    host().kill?.(pid, 0);
    return false;
  } catch (error) {
    return (error as { code?: unknown }).code === "ESRCH";
  }
}

function host(): Host {
  return (globalThis as { process?: Host }).process ?? {};
}
