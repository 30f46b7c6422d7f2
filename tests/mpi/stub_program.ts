import { MpiGroup } from "../../src/mpi/mpi_group.ts";

// One process over a library that says it has two ranks, of which the other one sends back what it is sent.

const group = await MpiGroup.open({ timeoutMs: 60_000 });
const gathered = await group.allGather(new Uint8Array(100_000).fill(7));
const [, back] = await group.allToAll([Uint8Array.of(1), Uint8Array.of(2, 3)]);
await group.barrier();
await group.close();
console.log(JSON.stringify({
  version: group.version,
  rank: group.rank,
  size: group.size,
  gathered: gathered.map((bytes) => [bytes.byteLength, bytes[99_999]]),
  back: [...back ?? []],
}));
