/**
 * A program is given "~" as it stands where no shell has put the home directory in its place, and would make a
 * directory of that name.
 *
 * @throws TypeError for a path that begins with the home directory's sign.
 */
export function refuseTilde(path: string | URL): void {
  if (typeof path !== "string" || !/^~[^/\\]*([/\\]|$)/.test(path) || /^~[^/\\]+$/.test(path)) return;
  throw new TypeError(
    `The path ${
      JSON.stringify(path.slice(0, 200))
    } begins with "~", which the shell expands and Cairn does not; ` +
      `write the whole path, such as path.join(os.homedir(), "runs"), or "./~" for a directory of that name`,
  );
}
