/**
 * Where the tables are: as in src/container/codec/planes/plane_heap.ts, which says what is in them.
 * Constants, because an address that the compiler knows costs no instruction.
 */
export const COUNTS: usize = 0;
export const CODES: usize = 4096;
export const JOB: usize = 5120;
export const LENGTHS: usize = 5376;
export const TRIPLES: usize = 8192;
export const SINGLES: usize = 24576;
export const PAIRS: usize = 32768;
/** While elements are moved: 256 vectors. The table of triples is not needed then. */
export const SHUFFLES: usize = TRIPLES;
