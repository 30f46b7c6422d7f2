import { byteSizeOf, type DType, requireDType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { FILE_KIND_BYTES, fileKind } from "../../base/file_kind.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { type ByteSource, BytesSink, bytesSource } from "../../container/source.ts";
import { checkNpy } from "../../exchange/numpy/npy.ts";
import { readNpyHeader } from "../../exchange/numpy/npy_header.ts";
import { readSafetensorsHeader } from "../../exchange/safetensors/safetensors_header.ts";
import { elementCount, type Shape } from "../../tensor/shape.ts";
import type { StoredRows } from "../rows/stored_rows.ts";
import { type FileOfData, type OpenedFile, openFileOfData } from "./byte_location.ts";
import { filePieces, isGzip } from "./file_pieces.ts";
import { isIdx, readIdxHeader } from "./idx_header.ts";
import { SourceRows, type TensorPlace } from "./source_rows.ts";

/** Options of {@link openRows}. */
export interface OpenRowsOptions {
  /** Which tensor, of a safetensors file that has several. */
  readonly tensor?: string | undefined;
  /** Of a file that is nothing but little-endian elements: their dtype. */
  readonly dtype?: DType | undefined;
  /** Of such a file: the shape of a row; `[]` where a row is one element. Default `[]`. */
  readonly shape?: Shape | undefined;
}

/** Every option of {@link OpenRowsOptions}. */
export const OPEN_ROWS_OPTIONS: OptionNames<OpenRowsOptions> = { tensor: true, dtype: true, shape: true };

/**
 * The rows of a tensor in a file, along its first axis, for `examplesOf` and `tokenWindows`: of an npy file, of an IDX
 * file (as MNIST is), of a safetensors file, or of elements without any header, whose `dtype` is given. Rows are read
 * when they are asked for, and never the whole file; only what is compressed with gzip is unpacked into memory. Close
 * it when done.
 *
 * @throws CairnError `not_found`, `invalid_file`, `truncated`, or `unsupported` for what cannot be read row by row,
 * such as an npy file in Fortran order.
 */
export async function openRows(file: FileOfData, options: OpenRowsOptions = {}): Promise<StoredRows> {
  checkOptions("openRows()", options, OPEN_ROWS_OPTIONS, '{ dtype: "u16" }');
  if (options.dtype !== undefined) requireDType(options.dtype);
  const opened = await openFileOfData(file);
  try {
    const { source, close } = await isGzip(opened.source) ? await unpacked(file, opened) : opened;
    return new SourceRows(source, await placeIn(source, opened.name, options), close);
  } catch (error) {
    await opened.close();
    if (!(error instanceof CairnError)) throw error;
    throw new CairnError(error.code, `Cannot open "${opened.name}": ${error.message}`, {
      details: { ...error.details, path: opened.name },
      cause: error,
    });
  }
}

async function unpacked(file: FileOfData, opened: OpenedFile): Promise<OpenedFile> {
  const sink = new BytesSink();
  for await (const piece of filePieces(file, new AbortController().signal)) await sink.write(piece);
  await opened.close();
  return { ...opened, source: bytesSource(sink.toBytes()), close: () => Promise.resolve() };
}

async function placeIn(
  source: ByteSource,
  name: string,
  { dtype, shape = [], tensor }: OpenRowsOptions,
): Promise<TensorPlace> {
  if (dtype !== undefined) return rawPlace(source, dtype, shape);
  const head = new Uint8Array(Math.min(FILE_KIND_BYTES, source.byteLength));
  await source.read(0, head);
  const kind = fileKind(head);
  if (kind?.format === "npy") return await npyPlace(source);
  if (kind?.format === "safetensors") return await safetensorsPlace(source, tensor);
  if (isIdx(head)) {
    const { dataOffset, ...idx } = await readIdxHeader(source);
    return { ...idx, offset: dataOffset, isBigEndian: true };
  }
  const found = kind === undefined ? "" : `: it is ${kind.text}`;
  throw new CairnError(
    "invalid_file",
    `it is no npy, IDX or safetensors file${found}; of elements without a header say the dtype`,
    { details: { path: name } },
  );
}

function rawPlace(source: ByteSource, dtype: DType, shape: Shape): TensorPlace {
  const rowBytes = elementCount(shape) * byteSizeOf(dtype);
  if (rowBytes === 0) throw new RangeError("A row of openRows() has one element or more");
  const length = Math.floor(source.byteLength / rowBytes);
  if (length * rowBytes === source.byteLength) {
    return { dtype, shape: [length, ...shape], offset: 0, isBigEndian: false };
  }
  throw new CairnError(
    "invalid_file",
    `its ${source.byteLength} bytes are no whole number of rows of ${rowBytes} bytes; say another dtype or shape`,
  );
}

async function npyPlace(source: ByteSource): Promise<TensorPlace> {
  const header = await readNpyHeader(source);
  checkNpy(header, source.byteLength);
  const { dtype, shape, dataOffset, isBigEndian, isFortranOrder } = header;
  if (dtype === undefined || isFortranOrder && shape.length > 1) {
    throw new CairnError(
      "unsupported",
      "it is in Fortran order, in which no row is in one piece; read it whole with readNpy, or save it in C order",
    );
  }
  return { dtype, shape, offset: dataOffset, isBigEndian };
}

async function safetensorsPlace(source: ByteSource, wanted: string | undefined): Promise<TensorPlace> {
  const { entries } = await readSafetensorsHeader(source);
  const entry = wanted === undefined && entries.length === 1
    ? entries[0]
    : entries.find(({ name }) => name === wanted);
  if (entry === undefined) {
    const names = entries.slice(0, 8).map(({ name }) => JSON.stringify(name)).join(", ");
    throw new CairnError(
      "not_found",
      wanted === undefined
        ? `it has ${entries.length} tensors (${names}); say which with tensor`
        : `it has no tensor ${JSON.stringify(wanted)} among ${names}`,
    );
  }
  const { dtype: { name, dtype }, shape, offset } = entry;
  if (dtype !== undefined) return { dtype, shape, offset, isBigEndian: false };
  throw new CairnError(
    "unsupported",
    `its tensor ${JSON.stringify(entry.name)} is ${name}, which has no dtype here`,
  );
}
