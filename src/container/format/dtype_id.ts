import { type DType, DTYPES } from "../../base/dtype.ts";

const DTYPE_BY_ID: readonly (DType | undefined)[] = (Object.keys(DTYPES) as DType[]).reduce(
  (byId: DType[], dtype) => {
    byId[DTYPES[dtype].id] = dtype;
    return byId;
  },
  [],
);

/** The dtype with this number in a file, or `undefined` for one that this version does not know. */
export function dtypeById(id: number): DType | undefined {
  return DTYPE_BY_ID[id];
}
