/** POSIX NAME_MAX: what every common file system takes for one segment, in UTF-8 bytes. */
const MAX_SEGMENT_BYTES = 255;
const MAX_PATH_BYTES = 4096;

/**
 * Checks a path to a file inside a storage: relative, "/" between segments, no empty, "." or ".." segment, no
 * backslash, no control characters, well-formed Unicode, segments of at most 255 UTF-8 bytes.
 *
 * @throws TypeError that names the path and the rule it breaks.
 */
export function checkFilePath(path: string): void {
  if (path === "") throw new TypeError("A path to a file must not be empty");
  checkDirectoryPath(path);
}

/** Like {@link checkFilePath}, but `""` is allowed and means the root of the storage. */
export function checkDirectoryPath(path: string): void {
  if (path === "") return;
  const problem = pathProblem(path);
  if (problem !== undefined) throw new TypeError(`Path ${JSON.stringify(path)} ${problem}`);
}

/** The directory of `path`, `""` for a file at the root. */
export function directoryOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end < 0 ? "" : path.slice(0, end);
}

/** The last segment of `path`. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** `name` inside `directory`, which may be `""`. */
export function joinPath(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

function pathProblem(path: string): string | undefined {
  // A lone surrogate turns into U+FFFD on its way to the disk: two different names would become one file.
  if (/\p{Surrogate}/u.test(path)) return "is not well-formed Unicode";
  // deno-lint-ignore no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(path)) return "has a control character in it";
  if (path.includes("\\")) return 'has a backslash in it: separate segments with "/"';
  if (path.startsWith("/") || /^[A-Za-z]:/.test(path)) {
    return "is absolute: paths are relative to the storage";
  }
  if (utf8Length(path) > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`;
  for (const segment of path.split("/")) {
    if (segment === "") return "has an empty segment";
    if (segment === "." || segment === "..") {
      return `has a "${segment}" segment, which could leave the storage`;
    }
    if (utf8Length(segment) > MAX_SEGMENT_BYTES) {
      return `has a segment longer than ${MAX_SEGMENT_BYTES} bytes`;
    }
  }
  return undefined;
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}
