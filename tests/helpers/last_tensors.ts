import { Buffer } from "node:buffer";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import { getCheckpoint } from "../../src/checkpoint/keep/newest_checkpoint.ts";

/** Every tensor of the last checkpoint in a directory as hexadecimal text, by name. */
export async function lastTensors(directory: string): Promise<Record<string, string>> {
  const checkpoint = await openCheckpoint(await getCheckpoint(directory));
  try {
    const { reader } = checkpoint;
    const tensors: Record<string, string> = {};
    for (const { name } of reader.tensors) {
      tensors[name] = Buffer.from(await reader.read(name)).toString("hex");
    }
    return tensors;
  } finally {
    await checkpoint.close();
  }
}
