// Asks this runtime for a WebGPU adapter and prints what it got, as one line of JSON.
async function findAdapter() {
  const gpu = globalThis.navigator?.gpu ?? (await import("webgpu")).create([]);
  globalThis.heldGpu = gpu; // Bun: an unheld object crashes the process later
  return await gpu.requestAdapter();
}

let answer;
try {
  const adapter = await findAdapter();
  answer = adapter
    ? { adapter: adapter.info?.description || adapter.info?.device || "unnamed" }
    : { adapter: null };
} catch (error) {
  answer = { adapter: null, error: String(error?.message ?? error) };
}
console.log(JSON.stringify(answer));
process.exit(0);
