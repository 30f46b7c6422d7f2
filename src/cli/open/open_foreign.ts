import { CairnError } from "../../base/errors.ts";
import { withSource } from "../../checkpoint/file/storage_source.ts";
import { readNpy } from "../../exchange/numpy/npy.ts";
import { npyDataBytes, readNpyHeader } from "../../exchange/numpy/npy_header.ts";
import { readNpz } from "../../exchange/numpy/npz.ts";
import { openSafetensors } from "../../exchange/safetensors/open_safetensors.ts";
import { SafetensorsFile } from "../../exchange/safetensors/read_safetensors.ts";
import type { TensorFile } from "../../exchange/tensor_file.ts";
import { readTorch } from "../../exchange/torch/read_torch.ts";
import { ZipReader } from "../../exchange/zip/zip_reader.ts";
import type { Place } from "./locate.ts";
import type { FileFormat, ListedTensor, OpenedFile } from "./opened_file.ts";

/** The one tensor of an npy file, which has no name. */
const NPY_NAME = "array";

/** Opens a safetensors file, or all files of a model by their index. */
export async function openSafetensorsFile(place: Place, byteLength: number): Promise<OpenedFile> {
  const file = await openSafetensors(place.storage, place.path);
  const beside = file instanceof SafetensorsFile && file.metadata.size > 0 ? file.metadata : undefined;
  const opened = overFile(place, byteLength, "safetensors", file, beside);
  if (file instanceof SafetensorsFile) return opened;
  const tensors = await opened.list();
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.byteLength, byteLength);
  return { ...opened, fileBytes: bytes };
}

/** Opens a zip file of tensors: NumPy's, or PyTorch's. */
export async function openZipFile(place: Place): Promise<OpenedFile> {
  return await withSource(place.storage, place.path, async (source) => {
    const zip = await ZipReader.open(source);
    const isTorch = [...zip.entries.keys()].some((name) => /(^|\/)data\.pkl$/.test(name));
    if (!isTorch) return overFile(place, source.byteLength, "npz", await readNpz(source));
    const file = await readTorch(source);
    return overFile(place, source.byteLength, "torch", file, file.state);
  });
}

/** Opens an npy file as one tensor. */
export async function openNpyFile(place: Place): Promise<OpenedFile> {
  return await withSource(place.storage, place.path, async (source) => {
    const header = await readNpyHeader(source);
    const { descr, dtype, shape } = header;
    const byteLength = npyDataBytes(header, source.byteLength);
    return {
      format: "npy",
      label: place.label,
      fileBytes: source.byteLength,
      fileCount: 1,
      list: () => Promise.resolve([{ name: NPY_NAME, dtype, storedAs: descr, shape, byteLength }]),
      async *pieces() {
        yield (await readNpy(source)).bytes;
      },
      close: () => source.close(),
    };
  });
}

function overFile(
  { label }: Place,
  fileBytes: number,
  format: FileFormat,
  file: TensorFile,
  beside?: unknown,
): OpenedFile {
  const aliases = file instanceof SafetensorsFile ? file.aliases() : new Map<string, string>();
  return {
    format,
    label,
    fileBytes,
    fileCount: 1,
    beside,
    list: async () => {
      const tensors: ListedTensor[] = [];
      for (const name of file.names()) tensors.push(await listed(file, name));
      for (const [name, aliasOf] of aliases) {
        const kept = tensors.find((each) => each.name === aliasOf);
        if (kept !== undefined) tensors.push({ ...kept, name, aliasOf });
      }
      return tensors;
    },
    async *pieces(asked) {
      const name = aliases.get(asked) ?? asked;
      if (file instanceof SafetensorsFile) yield* file.pieces(name);
      else yield (await file.read(name)).bytes;
    },
    close: () => file.close(),
  };
}

/** A tensor whose own header is damaged does not hide the others. */
async function listed(file: TensorFile, name: string): Promise<ListedTensor> {
  try {
    const { dtype, storedAs, shape, byteLength, aliasOf } = await file.describe(name);
    return { name, dtype, storedAs, shape, byteLength, aliasOf };
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    return { name, dtype: undefined, storedAs: "damaged", shape: [], byteLength: 0, problem: error.message };
  }
}
