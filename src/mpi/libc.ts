import type { Foreign, NativeFunctions, NativeSignatures } from "./foreign.ts";

/** What is used of the system's C library. */
export type LibcName = "dlopen" | "dlsym" | "dlclose" | "memcpy" | "setenv" | "alarm" | "_exit";

/** The signatures of it. */
export const LIBC_FUNCTIONS: NativeSignatures<LibcName> = {
  dlopen: { takes: ["u64", "i32"], gives: "u64" },
  dlsym: { takes: ["u64", "u64"], gives: "u64" },
  dlclose: { takes: ["u64"], gives: "i32" },
  memcpy: { takes: ["u64", "u64", "u64"], gives: "u64" },
  setenv: { takes: ["u64", "u64", "i32"], gives: "i32" },
  alarm: { takes: ["i32"], gives: "i32" },
  _exit: { takes: ["i32"], gives: "i32" },
};

/** The system's C library. */
export type Libc = NativeFunctions<LibcName>;

/** Names of the C library, of glibc (before 2.34 with the loader apart), musl and macOS. */
const NAMES = [
  "libc.so.6",
  "libdl.so.2",
  "libc.musl-x86_64.so.1",
  "libc.musl-aarch64.so.1",
  "libSystem.B.dylib",
];

/** The C library, and the name by which it was found. */
export interface FoundLibc {
  readonly name: string;
  readonly libc: Libc;
}

/** @throws the runtime's error for the last name when there is none. */
export function openLibc(foreign: Foreign): FoundLibc {
  let reason: unknown;
  for (const name of NAMES) {
    try {
      return { name, libc: foreign.open(name, LIBC_FUNCTIONS) };
    } catch (error) {
      reason = error;
    }
  }
  throw reason;
}

/** A text as C reads it. It is kept in memory of its own, which no runtime moves. */
export function textForC(text: string): Uint8Array {
  const encoded = new TextEncoder().encode(text);
  const bytes = new Uint8Array(new ArrayBuffer(encoded.length + 1));
  bytes.set(encoded);
  return bytes;
}
