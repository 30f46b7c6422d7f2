import type { OpCase } from "./op_case.ts";
import { OP_TWINS } from "./ops/op_twins.ts";

/** At least one case for every op. */
export const OP_CASES: readonly OpCase[] = Object.values(OP_TWINS).flatMap(({ cases = [] }) => cases);
