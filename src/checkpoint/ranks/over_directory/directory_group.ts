import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { openStorage, type Storages } from "../../../storage/open_storage.ts";
import type { Storage } from "../../../storage/storage.ts";
import { checkRank } from "../../file/parts/rank_view.ts";
import { GROUP_OPTIONS, type GroupOptions } from "../group_call.ts";
import { MailboxGroup } from "../mailbox_group.ts";
import { DirectoryMailbox } from "./directory_mailbox.ts";
import { MessageDirectory } from "./message_directory.ts";
import { refuseOthers } from "./refusal.ts";
import { meet } from "./rendezvous.ts";

/** Options of `ProcessGroup.overDirectory`. `timeoutMs` is also how long it waits until all ranks have come. */
export interface DirectoryGroupOptions extends GroupOptions {
  /** This process among those of the group, from 0. */
  readonly rank: number;
  /** How many processes the group has. */
  readonly size: number;
  /** How often to look for an answer: at least so often, and sooner at first. Default 100 ms. */
  readonly pollMs?: number | undefined;
  /** Stops the waiting until all ranks have come. */
  readonly signal?: AbortSignal | undefined;
  /** Storages of others by scheme, as in `{ s3: (location) => … }`, for a directory such as `s3://bucket/runs/a`. */
  readonly storages?: Storages | undefined;
}

/** Every option of {@link DirectoryGroupOptions}. */
export const DIRECTORY_GROUP_OPTIONS: OptionNames<DirectoryGroupOptions> = {
  ...GROUP_OPTIONS,
  rank: true,
  size: true,
  pollMs: true,
  signal: true,
  storages: true,
};

/** A directory that all ranks see. */
export interface GroupDirectory {
  readonly storage: Storage;
  /** Inside the storage. */
  readonly directory: string;
  /**
   * What rank 0 does before it leaves a message, such as to lock the directory. Where it fails, the others are told
   * why, and nothing is touched that may belong to another group.
   */
  readonly prepare: () => Promise<void>;
}

/** See `ProcessGroup.overDirectory`. */
export async function openOverDirectory(
  directory: string | URL | Storage,
  options: DirectoryGroupOptions,
): Promise<MailboxGroup> {
  checkOptions("ProcessGroup.overDirectory()", options, DIRECTORY_GROUP_OPTIONS);
  const isPath = typeof directory === "string" || directory instanceof URL;
  const storage = isPath ? await openStorage(directory, options.storages) : directory;
  return (await open({ storage, directory: "", prepare: () => Promise.resolve() }, options)).group;
}

/**
 * What `work` does with a group over a directory, which is closed afterwards. Where rank 0 was stopped and calls
 * again, it is done once more, with another group.
 */
export async function withGroupOver<T>(
  where: GroupDirectory,
  options: DirectoryGroupOptions,
  work: (group: MailboxGroup) => Promise<T>,
): Promise<T> {
  while (true) {
    const { group, mailbox } = await open(where, options);
    try {
      return await work(group);
    } catch (error) {
      if (!isCausedBy(error, mailbox.calledAgain)) throw error;
    } finally {
      await group.close();
    }
  }
}

function isCausedBy(error: unknown, cause: Error | undefined): boolean {
  if (!(error instanceof Error)) return false;
  return error === cause || isCausedBy(error.cause, cause);
}

async function open(
  { storage, directory, prepare }: GroupDirectory,
  options: DirectoryGroupOptions,
): Promise<{ group: MailboxGroup; mailbox: DirectoryMailbox }> {
  const { rank, size, timeoutMs, clock, signal } = options;
  checkRank(rank, size);
  const messages = new MessageDirectory(storage, directory, options);
  const seat = { messages, rank, size, options: { timeoutMs, clock }, signal };
  if (rank === 0) {
    try {
      await prepare();
    } catch (error) {
      await refuseOthers(seat, error).catch(() => {});
      throw error;
    }
  }
  const mailbox = new DirectoryMailbox(seat, await meet(seat));
  return { group: new MailboxGroup(mailbox, seat.options), mailbox };
}
