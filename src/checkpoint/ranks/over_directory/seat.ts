import type { GroupOptions } from "../group_call.ts";
import type { MessageDirectory } from "./message_directory.ts";

/** Who comes to the group, and where. */
export interface Seat {
  readonly messages: MessageDirectory;
  readonly rank: number;
  readonly size: number;
  readonly options: GroupOptions;
  readonly signal: AbortSignal | undefined;
}
