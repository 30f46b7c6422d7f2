import { bytesAsHex } from "../../base/hex.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import { checkTag } from "../file/tags.ts";

/** What happens when ranks do not agree on a tag. */
export type TagValidation = "ignore" | "warn" | "fail";

const MODES: readonly TagValidation[] = ["ignore", "warn", "fail"];

/**
 * A mode from a configuration, in any case: "Warn" is "warn". "warn" unless given.
 *
 * @throws RangeError for an unknown mode.
 */
export function parseTagValidation(mode = "warn"): TagValidation {
  const found = MODES.find((known) => known === mode.toLowerCase());
  if (found === undefined) {
    throw new RangeError(
      `The mode of tag validation is ${JSON.stringify(mode)}, expected one of ${MODES.join(", ")}`,
    );
  }
  return found;
}

/**
 * What the ranks exchange to compare their tags: 40 hexadecimal digits whatever the tag's length. The tag is checked
 * first, so that 100, "100" and "100.cairn" are the same.
 *
 * @throws CairnError `invalid_tag`.
 */
export async function tagDigest(tag: string | number): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(checkTag(tag)));
  return bytesAsHex(new Uint8Array(digest));
}

/**
 * Compares the digests that were gathered from all ranks, in order of rank. Every rank that has the same digests
 * comes to the same result. Follows DeepSpeed's tag validation.
 *
 * @returns The warning, or `undefined` when they agree or the mode is "ignore".
 * @throws CairnError `invalid_tag` in the mode "fail".
 */
export function validateTagDigests(
  digests: readonly string[],
  mode: TagValidation = "warn",
): string | undefined {
  const [first] = digests;
  const others = digests.flatMap((digest, rank) => (digest === first ? [] : [rank]));
  if (others.length === 0 || mode === "ignore") return undefined;
  const shown = others.slice(0, 5).join(", ") + (others.length > 5 ? ` and ${others.length - 5} more` : "");
  const message = `The ranks do not save under one tag: ${shown} of ${digests.length} differ from rank 0; ` +
    "the parts would not be found together, pass the same tag everywhere";
  if (mode === "fail") throw new CairnError("invalid_tag", message, { details: { value: others } });
  return message;
}

/** How the processes that save parts under one tag make sure that it is one. */
export interface TagAgreement {
  /** Default "warn". */
  readonly mode?: TagValidation | undefined;
  /** Gives this process's digest to the others, and gets those of all, in order of rank. */
  readonly gather: (digest: string) => Promise<readonly string[]>;
}

/** Every option of {@link TagAgreement}. */
export const TAG_AGREEMENT: OptionNames<TagAgreement> = { mode: true, gather: true };

/**
 * Compares a tag with those of the other processes, before anything is written under it.
 *
 * @returns The warning, or `undefined`; in the mode "ignore" nothing is exchanged.
 * @throws CairnError `invalid_tag` for a tag that cannot be one, and in the mode "fail" when they differ.
 */
export async function agreeOnTag(
  tag: string | number,
  agreement: TagAgreement,
): Promise<string | undefined> {
  const { mode = "warn", gather } = checkOptions("tagAgreement", agreement, TAG_AGREEMENT);
  const digest = await tagDigest(tag);
  return mode === "ignore" ? undefined : validateTagDigests(await gather(digest), mode);
}
