import type { OptionNames } from "../../../base/options/options.ts";
import type { LockIdentity, LockOwner } from "./lock_owner.ts";

/** Options of `WriterLock.acquire` that a user sets. */
export interface WriterLockOptions {
  /**
   * Whether an owner is dead, where that cannot be proved from here: on another machine, or in a container that was
   * replaced. Say `true` only when you know it. Never asked about one that is known to live.
   */
  readonly isOwnerDead?: ((owner: LockOwner) => boolean | Promise<boolean>) | undefined;
  /**
   * What this process says of itself.
   *
   * @internal
   */
  readonly identity?: LockIdentity | undefined;
}

/** Every option of {@link WriterLockOptions}. */
export const WRITER_LOCK_OPTIONS: OptionNames<WriterLockOptions> = { isOwnerDead: true, identity: true };
