import { checkOptions } from "../../base/options/options.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { CairnError } from "../../base/errors.ts";
import { allocate } from "../../base/allocate.ts";
import { MAX_RANK } from "../../container/format/layout.ts";
import type { ByteSink, ByteSource } from "../../container/source.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { explainKind } from "../explain_kind.ts";
import { type CheckedTensor, checkedTensors } from "../outgoing.ts";
import { encodeNpyHeader, npyDataBytes, type NpyHeader, readNpyHeader } from "./npy_header.ts";
import { columnMajorStrides, gather } from "../strided.ts";
import {
  DEFAULT_MAX_BYTES,
  EXCHANGE_READ_OPTIONS,
  type ExchangeReadOptions,
  quoted,
  tooLarge,
} from "../tensor_file.ts";
import { writeTensor } from "../write_tensor.ts";

/**
 * Reads a `.npy` file. Big-endian elements are turned round, and Fortran order becomes row-major.
 *
 * @throws CairnError `truncated`, `invalid_file`, `limit_exceeded`, or `unsupported` for what Cairn has no dtype for:
 * text, dates, complex numbers, records, and Python objects, which are pickled and therefore never read.
 */
export async function readNpy(source: ByteSource, options: ExchangeReadOptions = {}): Promise<HostTensor> {
  checkOptions("readNpy()", options, EXCHANGE_READ_OPTIONS, "{ signal }");
  const header = await explainKind(source, "npy file", "npy", () => readNpyHeader(source));
  const dtype = readableDType(header);
  checkLength(header, source.byteLength, options.maxBytes);
  throwIfAborted(options.signal);
  const bytes = allocate(source.byteLength - header.dataOffset);
  await source.read(header.dataOffset, bytes);
  return arrange(bytes, dtype, header);
}

/**
 * The tensor of a `.npy` file that is in memory, whose header was read before. It shares that memory where its
 * elements can stay as they are.
 */
export function decodeNpy(file: Uint8Array, header: NpyHeader): HostTensor {
  return arrange(file.subarray(header.dataOffset), readableDType(header), header);
}

/** Throws unless a file of this header and length can be read, before anything is allocated for it. */
export function checkNpy(header: NpyHeader, fileBytes: number, maxBytes?: number): void {
  readableDType(header);
  checkLength(header, fileBytes, maxBytes);
}

/**
 * Writes a `.npy` file, as NumPy's `save` does. NumPy has no bf16: such a tensor is widened to f32, which is exact.
 *
 * @throws TypeError or RangeError for a tensor that does not fit; what the sink throws.
 */
export async function writeNpy(sink: ByteSink, tensor: HostTensor): Promise<void> {
  const [checked] = checkedTensors({ tensor });
  if (checked !== undefined) await writeNpyTensor(sink, checked);
}

/** Bytes of the `.npy` file of a tensor. */
export function npyByteLength(tensor: CheckedTensor): number {
  const isWidened = tensor.dtype === "bf16";
  return encodeNpyHeader(npyDType(tensor.dtype), tensor.shape).byteLength +
    tensor.byteLength * (isWidened ? 2 : 1);
}

/** {@link writeNpy} of a tensor that was checked before. */
export async function writeNpyTensor(
  sink: ByteSink,
  tensor: CheckedTensor,
  signal?: AbortSignal,
): Promise<void> {
  await sink.write(encodeNpyHeader(npyDType(tensor.dtype), tensor.shape));
  await writeTensor(tensor.dtype === "bf16" ? wideningSink(sink) : sink, tensor, signal);
}

function npyDType(dtype: DType): DType {
  return dtype === "bf16" ? "f32" : dtype;
}

/** Writes each bf16 as the f32 whose upper half it is. */
function wideningSink(sink: ByteSink): ByteSink {
  // A piece may end inside an element.
  let half: number | undefined;
  return {
    write: async (bytes) => {
      const all = half === undefined ? bytes : Uint8Array.of(half, ...bytes);
      const count = Math.floor(all.byteLength / 2);
      half = all.byteLength % 2 === 1 ? all.at(-1) : undefined;
      const wide = new Uint8Array(4 * count);
      for (let i = 0; i < count; i++) {
        wide[4 * i + 2] = all[2 * i] as number;
        wide[4 * i + 3] = all[2 * i + 1] as number;
      }
      await sink.write(wide);
    },
  };
}

function readableDType({ descr, dtype, shape }: NpyHeader): DType {
  if (dtype !== undefined && shape.length <= MAX_RANK) return dtype;
  const problem = dtype === undefined ? dtypeProblem(descr) : `${shape.length} dimensions`;
  throw new CairnError("unsupported", `Cannot read an npy file with ${problem}`, {
    details: { value: descr },
  });
}

function dtypeProblem(descr: string): string {
  if (/^[[(]/.test(descr)) return `records of several fields, ${quoted(descr)}`;
  if (!/^[<>|=]?[A-Za-z]\d*$/.test(descr)) return `the dtype ${quoted(descr)}, which is not understood`;
  if (descr.includes("O")) {
    return `a dtype ${descr}: its elements are pickled Python objects, and Cairn runs no pickle`;
  }
  if (/V2$/.test(descr)) return `a dtype ${descr}: bf16 perhaps, which NumPy cannot say; save it as float32`;
  return `a dtype ${descr}`;
}

function checkLength(header: NpyHeader, byteLength: number, maxBytes: number = DEFAULT_MAX_BYTES): void {
  const found = byteLength - header.dataOffset;
  const expected = npyDataBytes(header, byteLength);
  const what = `${header.descr} [${header.shape}]`;
  if (expected > maxBytes) throw tooLarge(`an npy file of ${what}`, expected, maxBytes);
  if (found === expected) return;
  throw new CairnError(
    found < expected ? "truncated" : "invalid_file",
    `Cannot read an npy file: it has ${found} bytes for ${what}, expected ${expected}`,
  );
}

function arrange(
  bytes: Uint8Array,
  dtype: DType,
  { shape, isBigEndian, isFortranOrder }: NpyHeader,
): HostTensor {
  const byteSize = byteSizeOf(dtype);
  if (isBigEndian) reverseEach(bytes, byteSize);
  const isRowMajor = !isFortranOrder || shape.length < 2;
  const elements = isRowMajor
    ? bytes
    : gather(bytes, byteSize, { shape, strides: columnMajorStrides(shape), offset: 0 });
  return HostTensor.fromBytes(elements, dtype, shape);
}

function reverseEach(bytes: Uint8Array, byteSize: number): void {
  for (let at = 0; at < bytes.byteLength; at += byteSize) {
    for (let low = at, high = at + byteSize - 1; low < high; low++, high--) {
      const byte = bytes[low] as number;
      bytes[low] = bytes[high] as number;
      bytes[high] = byte;
    }
  }
}
