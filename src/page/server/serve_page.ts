import { CairnError } from "../../base/errors.ts";
import { randomHex } from "../../base/hex.ts";
import { nodeBuiltin, type NodeBuiltins } from "../../base/node_builtin.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CHECKPOINT_EXTENSION } from "../../checkpoint/file/tags.ts";
import { FileStorage } from "../../storage/file_storage.ts";
import { lookUp } from "../../storage/look_up.ts";
import { isShownFile, shownEndings } from "../shown_files.ts";
import { answerWith } from "./node_answer.ts";
import { pageHandler } from "./page_handler.ts";
import type { Served } from "./served_files.ts";

/** Options of {@link servePage}. */
export interface ServePageOptions {
  /** Default: one that is free. */
  readonly port?: number | undefined;
}

/** Every option of {@link ServePageOptions}. */
export const SERVE_PAGE_OPTIONS: OptionNames<ServePageOptions> = { port: true };

/** A server of the page that runs. */
export interface PageServer {
  /** The address to open, with the token in it: whoever has it can read what is served. */
  readonly url: string;
  /** Ends it, and what it is sending. */
  close(): Promise<void>;
}

/** Only programs of this machine reach it. */
const HOST = "127.0.0.1";
const TOKEN_BYTES = 16;

/**
 * Serves the page for a directory, with all that is below it, or for one file, to programs of this machine that know
 * the token in its address.
 *
 * @throws CairnError `not_found` where there is no such file or directory; `unsupported` where there is no `node:http`;
 * `storage_failed` where the port is taken. RangeError for a port that is none.
 */
export async function servePage(location: string, options: ServePageOptions = {}): Promise<PageServer> {
  const { port = 0 } = checkOptions("servePage()", options, SERVE_PAGE_OPTIONS, "{ port: 8080 }");
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`The port is ${port}; expected 0 to 65535`);
  }
  const http = requireHttp();
  const { title, ...served } = await servedAt(location);
  const token = randomHex(TOKEN_BYTES);
  const hosts: string[] = [];
  const handler = pageHandler({ ...served, title, token, hosts });
  const server = http.createServer((request, response) => void answerWith(handler, request, response));
  const bound = await listen(server, port);
  // Port 80 is not in the address of a request.
  hosts.push(...[HOST, "localhost"].map((name) => new URL(`http://${name}:${bound}`).host));
  return {
    url: new URL(`/${token}/`, `http://${HOST}:${bound}`).href,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A directory as it is, or a file out of its directory. Links are followed, and ".cairn" may be left out. */
async function servedAt(location: string): Promise<Served & { readonly title: string }> {
  const found = await lookUp(location) ?? await lookUp(location + CHECKPOINT_EXTENSION);
  if (found === undefined) {
    throw new CairnError("not_found", `Cannot serve ${location}: there is no such file or directory`, {
      details: { path: location },
    });
  }
  const { path, name, directory, isDirectory } = found;
  if (isDirectory) return { storage: await FileStorage.open(path), title: name === "" ? path : name };
  if (isShownFile(name)) return { storage: await FileStorage.open(directory), file: name, title: name };
  throw new CairnError(
    "unsupported",
    `Cannot serve ${location}: the page shows files that end in ${shownEndings().join(", ")}`,
    { details: { path: location } },
  );
}

function listen(server: import("node:http").Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const why =
        `Cannot serve on port ${port}: ${cause.message}; give another port, or 0 for any that is free`;
      reject(new CairnError("storage_failed", why, { cause }));
    });
    server.listen(port, HOST, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

function requireHttp(): NodeBuiltins["node:http"] {
  const found = nodeBuiltin("node:http");
  if (found !== undefined) return found;
  throw new CairnError("unsupported", "This runtime has no node:http; use Deno, Bun or Node");
}
