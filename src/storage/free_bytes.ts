/** What a file system says of its size, as `statfs` gives it. */
export interface FileSystemSize {
  readonly bsize: number | bigint;
  readonly blocks: number | bigint;
  readonly bavail: number | bigint;
}

/**
 * Bytes that may still be written, or `undefined` where the file system does not say. One that has no blocks at all
 * (ramfs, some of FUSE) keeps no account, and more free blocks than there are is a number below zero that was read as
 * one without a sign. One that has blocks and none of them free is full.
 */
export function freeBytesOf({ bsize, blocks, bavail }: FileSystemSize): number | undefined {
  const [blockBytes, all, free] = [Number(bsize), Number(blocks), Number(bavail)];
  return all > 0 && free <= all && blockBytes > 0 ? asByteCount(free * blockBytes) : undefined;
}

/** `value`, which a storage says is a number of bytes, if it is one. */
export function asByteCount(value: unknown): number | undefined {
  const count = typeof value === "bigint" ? Number(value) : value;
  return typeof count === "number" && count >= 0 && count < Infinity ? count : undefined;
}
