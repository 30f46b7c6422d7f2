/** Formats that have a reader here. */
export type KnownFormat = "cairn" | "safetensors" | "npy" | "zip" | "pickle" | "json";

/** What a file is by its first bytes. */
export interface FileKind {
  /** Absent where nothing here reads it. */
  readonly format?: KnownFormat | undefined;
  /** What it is and what to do, as the end of a sentence that begins with "it is". */
  readonly text: string;
}

/** As many bytes of a file as {@link fileKind} looks at. */
export const FILE_KIND_BYTES = 512;

/** The most bytes of a safetensors header: the number in front of it is no larger. */
const MAX_SAFETENSORS_HEADER_BYTES = 100_000_000;

const AGAIN = "download or copy it again";
const PICKLE =
  "a bare pickle, or a checkpoint of PyTorch before 1.6; load it there once and save it again as a zip file";

/** How files begin, as text whose letters are bytes. */
const BEGINNINGS: readonly (readonly [start: string, text: string, format?: KnownFormat])[] = [
  ["\x89CRN", "a .cairn file; open it with openCheckpoint", "cairn"],
  ["\x93NUMPY", "an npy file; open it with readNpy of @cairn-ml/cairn/exchange", "npy"],
  [
    "PK\x03\x04",
    "a zip file; open it with readTorch of @cairn-ml/cairn/exchange if PyTorch saved it, with readNpz if NumPy did",
    "zip",
  ],
  ["PK\x05\x06", "a zip file without any entries", "zip"],
  ["\x80\x02", PICKLE, "pickle"],
  ["\x80\x03", PICKLE, "pickle"],
  ["\x80\x04", PICKLE, "pickle"],
  ["\x80\x05", PICKLE, "pickle"],
  ["\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes; save its weights as safetensors or npz"],
  ["GGUF", "a GGUF file; save its weights as safetensors"],
  ["\x1f\x8b", "compressed with gzip; unpack it first"],
  ["\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"],
  ["\xfd7zXZ\0", "compressed with xz; unpack it first"],
  ["BZh", "compressed with bzip2; unpack it first"],
  ["7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"],
  ["Rar!\x1a\x07", "a RAR archive; unpack it first"],
  ["%PDF-", "a PDF document"],
  ["\x89PNG", "a picture"],
  ["\xff\xd8\xff", "a picture"],
];

/**
 * What kind of file this is, or `undefined` where its first bytes do not say.
 *
 * @param head Its first {@link FILE_KIND_BYTES} bytes, or more, or all.
 */
export function fileKind(head: Uint8Array): FileKind | undefined {
  if (head.byteLength === 0) return { text: `empty; ${AGAIN}` };
  if (isSafetensors(head)) {
    return {
      format: "safetensors",
      text: "a safetensors file; open it with openSafetensors of @cairn-ml/cairn/exchange",
    };
  }
  const start = String.fromCharCode(...head.subarray(0, FILE_KIND_BYTES));
  for (const [beginning, text, format] of BEGINNINGS) {
    if (start.startsWith(beginning)) return { text, format };
  }
  if (start.slice(257, 262) === "ustar") return { text: "a tar archive; unpack it first" };
  if (start.slice(4, 8) === "TFL3") {
    return { text: "a model of TensorFlow Lite; save its weights as safetensors" };
  }
  if (head.every((byte) => byte === 0)) {
    return { text: `all zeros at its start, as after an interrupted copy; ${AGAIN}` };
  }
  return textKind(head);
}

/** A length of eight bytes, and a header of JSON. */
function isSafetensors(head: Uint8Array): boolean {
  if (head.byteLength < 10 || head[8] !== 0x7b) return false;
  const view = new DataView(head.buffer, head.byteOffset);
  return view.getUint32(4, true) === 0 && view.getUint32(0, true) <= MAX_SAFETENSORS_HEADER_BYTES;
}

function textKind(head: Uint8Array): FileKind | undefined {
  const text = textOf(head.subarray(0, FILE_KIND_BYTES))?.trimStart();
  if (text === undefined || text === "") return undefined;
  const size = /^size (\d{1,16})$/m.exec(text)?.[1];
  if (/^version https:\/\/(git-lfs\.github|hawser\.github)\.com\/spec\//.test(text)) {
    const of = size === undefined ? "" : ` to ${size} bytes`;
    return {
      text: `a git-lfs pointer${of}, without the file itself; run "git lfs pull" where it comes from`,
    };
  }
  if (/^(\/annex\/objects\/|(\.\.?\/)*\.git\/annex\/)/.test(text)) {
    return { text: 'a git-annex pointer, without the file itself; run "git annex get" where it comes from' };
  }
  if (/^(<!--[^]*?-->\s*)?<(!doctype html|html|head|body|meta|title|script)\b/i.test(text)) {
    return {
      text: `an HTML page, as a server sends in place of a file that it does not give; ${AGAIN}, logged in`,
    };
  }
  if (/^<(\?xml|Error)\b/.test(text)) {
    return { text: `an XML document, as a storage sends in place of a file that it does not give; ${AGAIN}` };
  }
  if (/^[{[]/.test(text)) return { format: "json", text: jsonText(text) };
  return { text: `text that begins with ${JSON.stringify(text.slice(0, 40))}; ${AGAIN}` };
}

function jsonText(text: string): string {
  if (text.includes('"weight_map"') || text.includes('"total_size"')) {
    return "the index of a model in several files; open it under its own name, ….safetensors.index.json";
  }
  return `JSON, which may be a server's error message: ${JSON.stringify(text.slice(0, 80))}`;
}

/** The text that bytes are, if they are UTF-8 without control characters; a letter at the end may be cut in two. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    // deno-lint-ignore no-control-regex
    return /[\x00-\x08\x0e-\x1f\x7f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}
