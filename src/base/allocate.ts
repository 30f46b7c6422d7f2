import { CairnError } from "./errors.ts";

/** `byteLength` zero bytes, or `CairnError("out_of_memory")` where the runtime has no memory for them. */
export function allocate(byteLength: number): Uint8Array {
  try {
    return new Uint8Array(byteLength);
  } catch (cause) {
    throw new CairnError("out_of_memory", `Cannot allocate ${byteLength} bytes`, {
      details: { value: byteLength },
      cause,
    });
  }
}
