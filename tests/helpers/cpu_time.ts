import process from "node:process";

/**
 * Milliseconds of CPU time that the process has used: unlike a clock's they do not grow when the machine is busy
 * elsewhere.
 */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
