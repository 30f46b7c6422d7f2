import { gunzipSync } from "fflate";
import { PAGE_GZIP } from "../page_gzip.ts";

let text: string | undefined;

/** The page: one HTML file that needs no other, from a server or from a disk. */
export function pageText(): string {
  return text ??= new TextDecoder().decode(
    gunzipSync(Uint8Array.from(atob(PAGE_GZIP), (letter) => letter.charCodeAt(0))),
  );
}
