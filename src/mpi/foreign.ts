/** How a value crosses over to a library in C: an `int`, or a size or address of 64 bits. */
export type NativeType = "i32" | "u64";

/** What a function in C takes and gives. */
export interface NativeSignature {
  readonly takes: readonly NativeType[];
  readonly gives: NativeType;
}

/** A function in C. Addresses are numbers, as none has more than 53 bits; as a result they may be bigints. */
export type NativeFunction = (...values: number[]) => number | bigint;

/** Functions in C by their names. */
export type NativeFunctions<Name extends string> = Readonly<Record<Name, NativeFunction>>;

/** Their signatures. */
export type NativeSignatures<Name extends string> = Readonly<Record<Name, NativeSignature>>;

/** Libraries in C, as a runtime calls them. A call holds the thread that makes it. */
export interface Foreign {
  /** @throws the runtime's error where the library or a function is not there. */
  open<Name extends string>(path: string, functions: NativeSignatures<Name>): NativeFunctions<Name>;
  /** Where bytes lie. They have to be kept for as long as a library uses them. */
  addressOf(bytes: Uint8Array): number;
}

/**
 * Opens the libraries of one runtime. It is sent to a thread as text too, and sees nothing but what it is given.
 *
 * @param base From where Node finds the package `koffi`.
 */
export type OpenForeign = (base: string) => Foreign;

/** What is used of `Deno`. */
interface DenoCalls {
  dlopen<Name extends string>(path: string, functions: object): { readonly symbols: NativeFunctions<Name> };
  readonly UnsafePointer: { of(bytes: Uint8Array): unknown; value(pointer: unknown): number | bigint };
}

/** What is used of `bun:ffi`. */
interface BunCalls {
  dlopen<Name extends string>(path: string, functions: object): { readonly symbols: NativeFunctions<Name> };
  ptr(bytes: Uint8Array): number;
}

/** What is used of `koffi`. */
interface KoffiCalls {
  load(path: string): { func(name: string, gives: string, takes: readonly string[]): NativeFunction };
  address(bytes: Uint8Array): number | bigint;
}

/** Deno's `Deno.dlopen`. */
const openInDeno: OpenForeign = () => {
  const { Deno } = globalThis as { Deno?: DenoCalls };
  if (Deno === undefined) throw new Error("there is no Deno here");
  const typeOf = (type: NativeType): string => type === "i32" ? "i32" : "usize";
  return {
    open: (path, functions) => {
      const described = Object.entries<NativeSignature>(functions).map(([name, { takes, gives }]) => [
        name,
        { parameters: takes.map(typeOf), result: typeOf(gives) },
      ]);
      return Deno.dlopen(path, Object.fromEntries(described)).symbols;
    },
    addressOf: (bytes) => Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes))),
  };
};

/** Bun's `bun:ffi`. */
const openInBun: OpenForeign = () => {
  const builtin = (name: string): unknown => process.getBuiltinModule(name);
  const bun = builtin("bun:ffi") as BunCalls;
  return {
    open: (path, functions) => {
      const described = Object.entries<NativeSignature>(functions).map(([name, { takes, gives }]) => [
        name,
        { args: takes, returns: gives },
      ]);
      return bun.dlopen(path, Object.fromEntries(described)).symbols;
    },
    addressOf: (bytes) => bun.ptr(bytes),
  };
};

/** The package `koffi`, for Node. */
const openInNode: OpenForeign = (base) => {
  const koffi = process.getBuiltinModule("node:module").createRequire(base)("koffi") as KoffiCalls;
  const typeOf = (type: NativeType): string => type === "i32" ? "int" : "uintptr_t";
  return {
    open: (path, functions) => {
      const library = koffi.load(path);
      const found = Object.entries<NativeSignature>(functions).map(([name, { takes, gives }]) => [
        name,
        library.func(name, typeOf(gives), takes.map(typeOf)),
      ]);
      return Object.fromEntries(found);
    },
    addressOf: (bytes) => Number(koffi.address(bytes)),
  };
};

/** How this runtime opens libraries in C. */
export function foreignOfRuntime(): OpenForeign {
  if ("Deno" in globalThis) return openInDeno;
  return "Bun" in globalThis ? openInBun : openInNode;
}
