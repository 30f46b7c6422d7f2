import { hexOf } from "../../base/hex.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import { CairnError } from "../../base/errors.ts";

/** What the files of checkpoints end with. */
export const CHECKPOINT_EXTENSION = ".cairn";

/** Characters of a tag, so that its file has a name that every file system takes. */
const MAX_TAG_LENGTH = 128;

/** 1 to {@link MAX_TAG_LENGTH} letters, digits, ".", "_" and "-", and neither end is punctuation. */
const TAG = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;

/** Devices on Windows, with any extension; names that a careless reader of a directory would trip over. */
const RESERVED =
  /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)|^(?:latest|latest_universal|constructor|prototype)$/i;

/**
 * The name of a checkpoint, checked against an allow-list, so that it is one file in one directory on every system.
 * Integers become text (a step number is a fine tag), and a ".cairn" at the end is dropped.
 *
 * @throws CairnError `invalid_tag` that says what a tag may be. Nothing has been touched by then.
 */
export function checkTag(value: string | number): string {
  if (typeof value === "number") {
    if (Number.isSafeInteger(value) && value >= 0) return String(value);
    throw invalidTag(value, "a number has to be an integer from 0");
  }
  if (typeof value !== "string") throw invalidTag(value, "it has to be text or an integer");
  const tag = value.endsWith(CHECKPOINT_EXTENSION) ? value.slice(0, -CHECKPOINT_EXTENSION.length) : value;
  if (!TAG.test(tag)) {
    throw invalidTag(
      value,
      'a tag is 1 to 128 letters, digits, ".", "_" and "-", and begins and ends with a letter or digit',
    );
  }
  if (tag.includes("..")) throw invalidTag(value, 'it must not have ".." in it');
  if (RESERVED.test(tag)) throw invalidTag(value, "that name is reserved");
  return tag;
}

/** Whether {@link checkTag} takes `text` as it is. */
export function isTag(text: string): boolean {
  return TAG.test(text) && !text.includes("..") && !RESERVED.test(text);
}

/**
 * `text` with `ending` behind it. Where that is longer than a tag may be, the end of the text is cut off and its
 * checksum stands there, so that names that differ only behind the cut stay different.
 */
export function withEnding(text: string, ending: string = ""): string {
  const most = MAX_TAG_LENGTH - ending.length;
  if (text.length <= most) return text + ending;
  const checksum = hexOf(crc32(new TextEncoder().encode(text)));
  return `${text.slice(0, most - checksum.length - 1)}-${checksum}${ending}`;
}

/** The file of the checkpoint `tag`. */
export function fileNameOf(tag: string): string {
  return tag + CHECKPOINT_EXTENSION;
}

/** The tag of a file of a directory, or `undefined` when it is no checkpoint's name. */
export function tagOfFileName(name: string): string | undefined {
  if (!name.endsWith(CHECKPOINT_EXTENSION)) return undefined;
  const tag = name.slice(0, -CHECKPOINT_EXTENSION.length);
  return isTag(tag) ? tag : undefined;
}

/** The step that a tag is, as in "1200" of `1200.cairn`, or `undefined` when it is no integer. */
export function stepOfTag(tag: string): number | undefined {
  if (!/^(?:0|[1-9]\d*)$/.test(tag)) return undefined;
  const step = Number(tag);
  return Number.isSafeInteger(step) ? step : undefined;
}

function invalidTag(value: unknown, rule: string): CairnError {
  const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : String(value);
  return new CairnError("invalid_tag", `${shown} cannot be the tag of a checkpoint: ${rule}`, {
    details: { tag: String(value), value },
  });
}
