type Incoming = import("node:http").IncomingMessage;
type Outgoing = import("node:http").ServerResponse;

/**
 * Answers a request of `node:http`, which Node, Deno and Bun have, by a function from a web request to a response.
 * What the other side no longer wants is not read on.
 */
export async function answerWith(
  handler: (request: Request) => Promise<Response>,
  incoming: Incoming,
  outgoing: Outgoing,
): Promise<void> {
  const request = webRequest(incoming);
  const response = request === undefined
    ? new Response("The request is none that this server knows.\n", { status: 400 })
    : await handler(request);
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  const reader = response.body?.getReader();
  outgoing.once("close", () => void reader?.cancel().catch(() => {}));
  try {
    for (;;) {
      const { done, value } = await reader?.read() ?? { done: true };
      if (done || outgoing.destroyed) break;
      if (!outgoing.write(value)) await drained(outgoing);
    }
    outgoing.end();
  } catch {
    // The header is out, so that all there is left to say is that this is not all of it.
    outgoing.destroy();
  }
}

/** Without its body, which nothing here has a use for. `undefined` for an address or a method that is none. */
function webRequest({ method = "GET", url = "", headers }: Incoming): Request | undefined {
  const asked = new Headers();
  for (const name of ["range", "if-range", "origin"]) {
    const value = headers[name];
    if (typeof value === "string") asked.set(name, value);
  }
  try {
    // An absolute address takes the place of the host that is named, and is checked in its place.
    return new Request(new URL(url, `http://${headers.host ?? ""}`), { method, headers: asked });
  } catch {
    return undefined;
  }
}

function drained(outgoing: Outgoing): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      outgoing.off("drain", go);
      outgoing.off("close", go);
      resolve();
    };
    outgoing.on("drain", go);
    outgoing.on("close", go);
  });
}
