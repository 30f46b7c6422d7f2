import { ContainerWriter, type WriteReport } from "./container_writer.ts";
import type { ContainerWriterOptions } from "./container_writer_options.ts";
import type { TensorRecord, TensorSpec } from "../format/layout.ts";
import type { Manifest } from "../format/manifest.ts";
import { type ByteSink, BytesSink } from "../source.ts";

/** What {@link writeContainer} puts into a container. */
export interface ContainerContents extends Omit<ContainerWriterOptions, "tensors"> {
  /**
   * Each tensor with its bytes, little-endian. An alias's bytes are not looked at; an empty array will do.
   */
  tensors: readonly { readonly spec: TensorSpec; readonly bytes: Uint8Array }[];
  manifest: Manifest;
}

/**
 * A whole container in memory. Throws as `ContainerWriter` does, and a `RangeError` for bytes of the wrong
 * length.
 */
export async function writeContainer(contents: ContainerContents): Promise<Uint8Array> {
  const sink = new BytesSink();
  await writeContainerTo(sink, contents);
  return sink.toBytes();
}

/** Writes a whole container to a sink. Throws as {@link writeContainer} does. */
export async function writeContainerTo(sink: ByteSink, contents: ContainerContents): Promise<WriteReport> {
  const { tensors, manifest, ...options } = contents;
  const specs = tensors.map((tensor) => tensor.spec);
  const writer = await ContainerWriter.create(sink, { ...options, tensors: specs });
  let end = 0;
  for (const [index, record] of writer.layout.tensors.entries()) {
    const bytes = tensors[index]?.bytes;
    if (record.aliasOf !== undefined || bytes === undefined) continue;
    checkLength(record, bytes);
    await writer.write(new Uint8Array(record.rawOffset - end));
    await writer.write(bytes);
    end = record.rawOffset + record.byteLength;
  }
  await writer.write(new Uint8Array(writer.layout.rawByteLength - end));
  return await writer.finish(manifest);
}

function checkLength(record: TensorRecord, bytes: Uint8Array): void {
  if (bytes.byteLength === record.byteLength) return;
  throw new RangeError(
    `Tensor "${record.name}" (${record.dtype} [${record.shape}]) takes ${record.byteLength} bytes; ${bytes.byteLength} were given`,
  );
}
