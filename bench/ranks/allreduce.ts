import process from "node:process";
import { findLibrary } from "../../src/mpi/find_library.ts";
import { foreignOfRuntime } from "../../src/mpi/foreign.ts";
import { launcherOf } from "../../src/mpi/launcher.ts";
import { openLibc, textForC } from "../../src/mpi/libc.ts";
import type { MpiKind } from "../../src/mpi/library_kind.ts";

/** `MPI_FLOAT` and `MPI_SUM`: numbers that a header says, or where a library has them. */
const HANDLES: Readonly<Record<MpiKind, readonly [float: number | string, sum: number | string]>> = {
  mpich: [0x4c00040a, 0x58000003],
  abi: [0x210, 0x21],
  openmpi: ["ompi_mpi_float", "ompi_mpi_op_sum"],
};

/** `MPI_Allreduce` of the library that the group stands on: adds up f32, and holds the thread until it is done. */
export function openAllreduce(): (own: Float32Array, sum: Float32Array) => void {
  const foreign = foreignOfRuntime()(import.meta.url);
  const { libc } = openLibc(foreign);
  const { path, kind, constants: { handle, world } } = findLibrary(foreign, libc, {
    environment: process.env,
    launcher: launcherOf(process.env),
    platform: process.platform,
  });
  const name = textForC(path);
  const library = Number(libc.dlopen(foreign.addressOf(name), 2));
  const [float, sum] = HANDLES[kind].map((each) => {
    if (typeof each === "number") return each;
    const symbol = textForC(each);
    return Number(libc.dlsym(library, foreign.addressOf(symbol)));
  });
  const { MPI_Allreduce } = foreign.open(path, {
    MPI_Allreduce: { takes: ["u64", "u64", "i32", handle, handle, handle], gives: "i32" },
  });
  const addressOf = ({ buffer }: Float32Array): number => foreign.addressOf(new Uint8Array(buffer));
  return (own, into) => {
    const code = MPI_Allreduce(addressOf(own), addressOf(into), own.length, float ?? 0, sum ?? 0, world);
    if (code !== 0) throw new Error(`MPI_Allreduce gave ${code}`);
  };
}
