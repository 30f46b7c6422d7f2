import type { NativeFunctions, NativeSignatures, NativeType } from "./foreign.ts";

/** What is used of an MPI library: messages from one process to another, and how it begins and ends. */
export type MpiFunctionName =
  | "MPI_Init_thread"
  | "MPI_Comm_rank"
  | "MPI_Comm_size"
  | "MPI_Comm_set_errhandler"
  | "MPI_Isend"
  | "MPI_Irecv"
  | "MPI_Test"
  | "MPI_Error_string"
  | "MPI_Get_library_version"
  | "MPI_Finalize"
  | "MPI_Abort";

/** The functions of an MPI library. Each gives 0, or the code of an error. */
export type MpiFunctions = NativeFunctions<MpiFunctionName>;

/** Their signatures, where handles are passed as `handle`. */
export function mpiSignatures(handle: NativeType): NativeSignatures<MpiFunctionName> {
  const address = "u64";
  const message = {
    takes: [address, "i32", handle, "i32", "i32", handle, address],
    gives: "i32",
  } as const;
  return {
    MPI_Init_thread: { takes: [address, address, "i32", address], gives: "i32" },
    MPI_Comm_rank: { takes: [handle, address], gives: "i32" },
    MPI_Comm_size: { takes: [handle, address], gives: "i32" },
    MPI_Comm_set_errhandler: { takes: [handle, handle], gives: "i32" },
    MPI_Isend: message,
    MPI_Irecv: message,
    MPI_Test: { takes: [address, address, address], gives: "i32" },
    MPI_Error_string: { takes: ["i32", address, address], gives: "i32" },
    MPI_Get_library_version: { takes: [address, address], gives: "i32" },
    MPI_Finalize: { takes: [], gives: "i32" },
    MPI_Abort: { takes: [handle, "i32"], gives: "i32" },
  };
}
