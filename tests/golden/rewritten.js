/**
 * What a golden file holds, read and written again: plain JavaScript over the public interface, for the tests in
 * Bun and Deno, the packed package and the browser alike. Throws where the file is damaged.
 */
export async function rewritten(container, bytes, { codec, chunkBytes }) {
  const reader = await container.ContainerReader.open(container.bytesSource(bytes));
  const { ok, damaged } = await reader.verify();
  if (!ok) throw new Error(`damaged: ${JSON.stringify(damaged)}`);
  const tensors = reader.tensors.map(({ name, dtype, shape, aliasOf }) =>
    aliasOf === undefined ? { name, dtype, shape } : { name, dtype, shape, aliasOf }
  );
  const fileId = Uint8Array.from(reader.fileId.match(/../g), (byte) => parseInt(byte, 16));
  const sink = new container.BytesSink();
  const writer = await container.ContainerWriter.create(sink, { tensors, fileId, codec, chunkBytes });
  await writer.write(await reader.readRange(0, reader.rawByteLength));
  await writer.finish(reader.manifest);
  return sink.toBytes();
}
