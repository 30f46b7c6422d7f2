import type { NativeType } from "./foreign.ts";

/** The binary interfaces that MPI libraries have: two of their own, and the standard one of MPI 4.2 and newer. */
export type MpiKind = "mpich" | "openmpi" | "abi";

/** What the headers of a library say: handles, and numbers that mean something. */
export interface MpiConstants {
  /** How a handle is passed. */
  readonly handle: NativeType;
  readonly world: number;
  readonly byte: number;
  /** The error handler that has calls give a code back. */
  readonly errorsReturn: number;
  /** Where nobody wants to know the status. */
  readonly ignoreStatus: number;
  /** Any thread may call at any time. */
  readonly threadMultiple: number;
}

/** Open MPI's handles are addresses, which its library says at run time. */
export const OPEN_MPI_HANDLES = {
  world: "ompi_mpi_comm_world",
  byte: "ompi_mpi_byte",
  errorsReturn: "ompi_mpi_errors_return",
} as const;

/** @param addressOf Where a symbol of the library lies. */
export function constantsOf(kind: MpiKind, addressOf: (symbol: string) => number): MpiConstants {
  if (kind === "mpich") {
    return {
      handle: "i32",
      world: 0x44000000,
      byte: 0x4c00010d,
      errorsReturn: 0x54000001,
      ignoreStatus: 1,
      threadMultiple: 3,
    };
  }
  if (kind === "abi") {
    return {
      handle: "u64",
      world: 0x101,
      byte: 0x247,
      errorsReturn: 0x143,
      ignoreStatus: 0,
      threadMultiple: 4096,
    };
  }
  return {
    handle: "u64",
    world: addressOf(OPEN_MPI_HANDLES.world),
    byte: addressOf(OPEN_MPI_HANDLES.byte),
    errorsReturn: addressOf(OPEN_MPI_HANDLES.errorsReturn),
    ignoreStatus: 0,
    threadMultiple: 3,
  };
}
