import { atOnce } from "../../src/base/slices.ts";
import * as sliced from "../../src/container/format/manifest.ts";

/** As in the format, without letting the event loop run. */
export function encodeManifest(manifest: sliced.Manifest): Uint8Array {
  return atOnce(sliced.encodeManifest(manifest));
}

/** As in the format, without letting the event loop run. */
export function parseManifest(bytes: Uint8Array, onTensor?: (name: string) => void): sliced.Manifest {
  return atOnce(sliced.parseManifest(bytes, onTensor));
}
