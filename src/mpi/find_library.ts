import { CairnError } from "../base/errors.ts";
import type { Foreign, NativeSignature } from "./foreign.ts";
import type { Environment, Launcher } from "./launcher.ts";
import { constantsOf, type MpiConstants, type MpiKind, OPEN_MPI_HANDLES } from "./library_kind.ts";
import { type Libc, textForC } from "./libc.ts";

/** The variable that names the library to take, by its path or by a name that the system's loader finds. */
export const LIBRARY_VARIABLE = "CAIRN_MPI_LIBRARY";

/** An MPI library that has been loaded. */
export interface MpiLibrary {
  /** By which a runtime opens it again. */
  readonly path: string;
  readonly kind: MpiKind;
  readonly constants: MpiConstants;
}

/** What the system's loader takes, on Linux and on macOS. */
interface LoaderFlags {
  readonly now: number;
  readonly global: number;
}

const LINUX: LoaderFlags = { now: 2, global: 0x100 };
const MACOS: LoaderFlags = { now: 2, global: 8 };

/** Where distributions keep libraries that the loader does not look for. */
const FOLDERS = ["", "/usr/lib64/%/lib/", "/opt/homebrew/lib/", "/usr/local/lib/"];

/**
 * Names of libraries, the ones that say most first. `libmpi.so.12` is what MPICH and all that come from it agreed on,
 * `libmpich.so.12` is Debian's name for it, `libmpi.so.40` is Open MPI 2 to 5.
 */
const NAMES: Readonly<Record<MpiKind, readonly string[]>> = {
  abi: ["libmpi_abi.so.0", "libmpi_abi.so", "libmpi_abi.0.dylib", "libmpi_abi.dylib"],
  mpich: ["libmpich.so.12", "libmpi.so.12", "libmpi.12.dylib", "libmpich.so", "libmpi.so", "libmpi.dylib"],
  openmpi: ["libmpi.so.40", "libmpi.40.dylib", "libmpi.so", "libmpi.dylib"],
};

/** The folder that Fedora keeps a library in. */
const FOLDER_OF: Readonly<Record<MpiKind, string>> = { abi: "mpich", mpich: "mpich", openmpi: "openmpi" };

/** Each name that may be tried, with the kinds of library that go with the launcher. */
function candidates(launcher: Launcher | undefined): readonly string[] {
  const kinds: readonly MpiKind[] = launcher?.kind === "openmpi"
    ? ["openmpi", "abi"]
    : launcher?.kind === "mpich"
    ? ["abi", "mpich"]
    : ["abi", "mpich", "openmpi"];
  return kinds.flatMap((kind) =>
    FOLDERS.flatMap((folder) => NAMES[kind].map((name) => folder.replace("%", FOLDER_OF[kind]) + name))
  );
}

/**
 * Loads the MPI library that goes with the launcher, or the one that {@link LIBRARY_VARIABLE} names.
 *
 * @throws CairnError `unsupported` when there is none, or it is not one.
 */
export function findLibrary(
  foreign: Foreign,
  libc: Libc,
  { environment, launcher, platform }: {
    readonly environment: Environment;
    readonly launcher: Launcher | undefined;
    readonly platform: string;
  },
): MpiLibrary {
  const loader = new Loader(foreign, libc, platform === "darwin" ? MACOS : LINUX);
  const named = environment[LIBRARY_VARIABLE];
  const paths = named === undefined || named === "" ? candidates(launcher) : [named];
  for (const path of paths) {
    const found = loader.look(path);
    if (found === undefined) continue;
    if (paths.length === 1 || !isOfAnother(launcher, found.kind)) return loader.load(found);
    loader.unload(found);
  }
  throw new CairnError(
    "unsupported",
    named === undefined || named === ""
      ? `Found no MPI library (looked for ${
        paths.slice(0, 3).join(", ")
      }, …); install MPICH or Open MPI, or ` +
        `set ${LIBRARY_VARIABLE} to the path of one`
      : `${LIBRARY_VARIABLE} is ${named}, which cannot be loaded as an MPI library; set it to a libmpi.so`,
    { details: { op: "open", path: paths[0] ?? "" } },
  );
}

/** Several names may be of either kind: that of the launcher is meant. */
function isOfAnother(launcher: Launcher | undefined, kind: MpiKind): boolean {
  return launcher?.kind !== undefined && kind !== "abi" && kind !== launcher.kind;
}

/** A library that has been opened. */
interface Opened {
  readonly path: string;
  /** What the loader knows it by. */
  readonly library: number;
  readonly kind: MpiKind;
}

/** The system's loader, which finds what a runtime's own way to open libraries hides. */
class Loader {
  readonly #foreign: Foreign;
  readonly #libc: Libc;
  readonly #flags: LoaderFlags;

  constructor(foreign: Foreign, libc: Libc, flags: LoaderFlags) {
    this.#foreign = foreign;
    this.#libc = libc;
    this.#flags = flags;
  }

  /** Opens a library for this process alone; `undefined` where there is none of this name, or it is not MPI. */
  look(path: string): Opened | undefined {
    const library = this.#open(path, this.#flags.now);
    if (library === 0) return undefined;
    const has = (symbol: string): boolean => this.#symbol(library, symbol) !== 0;
    if (has(OPEN_MPI_HANDLES.world)) return { path, library, kind: "openmpi" };
    if (has("MPI_Isend")) {
      return { path, library, kind: this.#hasStandardAbi(path, library) ? "abi" : "mpich" };
    }
    this.#libc.dlclose(library);
    return undefined;
  }

  /** Gives what the headers of a library say. */
  load({ path, kind, library }: Opened): MpiLibrary {
    // The plug-ins of Open MPI take its functions from what is loaded for everybody.
    if (kind === "openmpi") this.#open(path, this.#flags.now | this.#flags.global);
    return { path, kind, constants: constantsOf(kind, (symbol) => this.#symbol(library, symbol)) };
  }

  unload({ library }: Opened): void {
    this.#libc.dlclose(library);
  }

  #open(path: string, flags: number): number {
    const text = textForC(path);
    return Number(this.#libc.dlopen(this.#foreign.addressOf(text), flags));
  }

  #symbol(library: number, name: string): number {
    const text = textForC(name);
    return Number(this.#libc.dlsym(library, this.#foreign.addressOf(text)));
  }

  /** A library that has an interface of its own says that its version of the standard one is -1, or does not answer. */
  #hasStandardAbi(path: string, library: number): boolean {
    if (this.#symbol(library, "MPI_Abi_get_version") === 0) return false;
    const getVersion: NativeSignature = { takes: ["u64", "u64"], gives: "i32" };
    const { MPI_Abi_get_version } = this.#foreign.open(path, { MPI_Abi_get_version: getVersion });
    const version = new Int32Array(new ArrayBuffer(128));
    const at = this.#foreign.addressOf(new Uint8Array(version.buffer));
    return MPI_Abi_get_version(at, at + 4) === 0 && (version[0] ?? -1) >= 1;
  }
}
