/** `user:password@`; the password of a location is often written as it is, with slashes. */
const USER_AND_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/)(?:[^/\s"'?#]*|[^\s"'?#]*:[^\s"'?#]*)@/gi;
/** Without what ends a sentence or a parenthesis behind it. */
const QUERY = /([a-z][a-z0-9+.-]*:\/\/[^\s"'?#]*)\?[^\s"'#]*?(?=[.,:;)]*(?:[\s"'#]|$))/gi;

/**
 * A text for people in which addresses have neither credentials nor a query, as a signed one is a key to what it
 * names: `https://…@host/path?…`.
 */
export function withoutAddressSecrets(text: string): string {
  return text.replace(USER_AND_PASSWORD, "$1…@").replace(QUERY, "$1?…");
}
