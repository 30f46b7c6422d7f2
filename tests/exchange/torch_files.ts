import { ZipReader } from "../../src/exchange/zip/zip_reader.ts";
import { ZipWriter } from "../../src/exchange/zip/zip_writer.ts";
import { BytesSink, bytesSource } from "../../src/container/source.ts";

/** Bytes of a text whose letters are bytes. */
export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** Pieces of pickles, as texts whose letters are bytes. */
export function u32(value: number): string {
  return String.fromCharCode(...[0, 8, 16, 24].map((shift) => (value >>> shift) & 255));
}

export function text(value: string): string {
  const bytes = new TextEncoder().encode(value);
  return `X${u32(bytes.byteLength)}${String.fromCharCode(...bytes)}`;
}

export function integer(value: number): string {
  if (value === (value | 0)) return `J${u32(value)}`;
  const bytes: number[] = [];
  for (let i = 0n; i < 8n; i++) bytes.push(Number((BigInt(value) >> (8n * i)) & 255n));
  return `\x8a\x08${String.fromCharCode(...bytes)}`;
}

export function tuple(...items: string[]): string {
  return `(${items.join("")}t`;
}

export function global(module: string, name: string): string {
  return `c${module}\n${name}\n`;
}

/** What calling a name gives. */
export function call(name: string, ...args: string[]): string {
  const at = name.lastIndexOf(".");
  return `${global(name.slice(0, at), name.slice(at + 1))}${tuple(...args)}R`;
}

/** A dict with texts for keys. */
export function dict(items: Readonly<Record<string, string>>): string {
  return `}(${Object.entries(items).map(([key, value]) => text(key) + value).join("")}u`;
}

/** Texts whose letters are bytes, as protocol 3 has them. */
export function bytes(value: string): string {
  return `C${String.fromCharCode(value.length)}${value}`;
}

/** A reference to a storage of the file. */
export function storage(key: string, length: number, type = "FloatStorage"): string {
  return `${tuple(text("storage"), global("torch", type), text(key), text("cpu"), integer(length))}Q`;
}

/** A tensor over a storage. */
export function tensor(of: string, offset: number, shape: number[], strides: number[]): string {
  const args = tuple(
    of,
    integer(offset),
    tuple(...shape.map(integer)),
    tuple(...strides.map(integer)),
    "\x89",
    `${global("collections", "OrderedDict")})R`,
  );
  return `${global("torch._utils", "_rebuild_tensor_v2")}${args}R`;
}

/** A zip file of these entries. */
export async function zipOf(entries: Readonly<Record<string, Uint8Array>>): Promise<Uint8Array> {
  const sink = new BytesSink();
  const zip = new ZipWriter(sink);
  for (const [name, bytes] of Object.entries(entries)) {
    await zip.store(name, bytes.byteLength, (into) => into.write(bytes));
  }
  await zip.finish();
  return sink.toBytes();
}

/** A checkpoint with this pickle, whose storage 0 has four floats: 1, 2, 3 and 4. */
export async function checkpointOf(
  pickle: string | Uint8Array,
  more: Readonly<Record<string, Uint8Array>> = {},
): Promise<Uint8Array> {
  return await zipOf({
    "a/data.pkl": typeof pickle === "string" ? latin1(pickle) : pickle,
    "a/data/0": new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer),
    ...more,
  });
}

/** All entries of a zip file. */
export async function entriesOf(file: Uint8Array): Promise<Record<string, Uint8Array>> {
  const zip = await ZipReader.open(bytesSource(file));
  const entries: Record<string, Uint8Array> = {};
  for (const entry of zip.entries.values()) entries[entry.name] = await zip.read(entry);
  return entries;
}
