import { crc32 } from "../base/crc32/crc32.ts";
import { type Description, descriptionOf } from "../base/description.ts";
import { thisHost } from "../gpu/host.ts";

/** What `written` is: what it says of itself, and of a function of the caller's a checksum of its text. */
export function functionDescription(written: (...args: never[]) => unknown): Description {
  return descriptionOf(written) ?? describeText(written);
}

/** Runtimes do not show the same text of the same module, so that texts of two of them are not compared. */
function describeText(written: (...args: never[]) => unknown): Description {
  const source = crc32(new TextEncoder().encode(written.toString()));
  return { name: "custom", runtime: thisHost().runtime, source: `checksum ${source.toString(16)}` };
}
