import { openCheckpoint } from "@cairn-ml/cairn";

/** What has to be the same in two runs beside their tensors. A loop of one's own has no epochs. */
interface RunState {
  step: number;
  epoch?: number;
  history?: { epochs: unknown };
}

/** What differs between two checkpoints, in words; nothing when every tensor and the histories have the same bits. */
export async function compareCheckpoints(pathA: string, pathB: string): Promise<string[]> {
  const [a, b] = [await readRun(pathA), await readRun(pathB)];
  const names = new Set([...a.tensors.keys(), ...b.tensors.keys()]);
  console.log(
    `   ${names.size} tensors, ${
      [...a.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
    } bytes`,
  );
  const differing = [...names].filter((name) => !sameBytes(a.tensors.get(name), b.tensors.get(name)));
  if (a.state.step !== b.state.step) differing.push(`steps: ${a.state.step} and ${b.state.step}`);
  if (a.state.epoch !== b.state.epoch) differing.push(`epochs: ${a.state.epoch} and ${b.state.epoch}`);
  if (JSON.stringify(a.state.history?.epochs) !== JSON.stringify(b.state.history?.epochs)) {
    differing.push("metrics of the epochs");
  }
  return differing;
}

/** The bytes of every tensor by name, the losses of all steps among them, and the state. */
async function readRun(path: string): Promise<{ tensors: Map<string, Uint8Array>; state: RunState }> {
  const checkpoint = await openCheckpoint(path);
  try {
    const { reader } = checkpoint;
    const tensors = new Map<string, Uint8Array>();
    for (const { name } of reader.tensors) tensors.set(name, await reader.read(name));
    return { tensors, state: await checkpoint.state() as unknown as RunState };
  } finally {
    await checkpoint.close();
  }
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined || a.byteLength !== b.byteLength) return false;
  return a.every((byte, index) => byte === b[index]);
}
