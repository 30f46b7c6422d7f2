// A headless Chromium that a test drives by its own protocol, over a pair of pipes: pages are opened, scripts run in
// them, and what the browser says of them is kept.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environment } from "./runtimes.mjs";

const FLAGS = ["--headless=new", "--no-sandbox", "--no-first-run"];
const DRIVEN = ["--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"];
/** A machine that does other work as well takes its time. */
const DEADLINE_MS = 60_000;
const LAST_WRITES_MS = 10_000;

/** Chromium on an address, with a profile of its own: `{ child, close }`. */
export function openChromium(program, flags, url, stdio) {
  const profile = mkdtempSync(join(tmpdir(), "cairn-chromium-"));
  const child = spawn(program, [...FLAGS, ...flags, `--user-data-dir=${profile}`, url], {
    stdio,
    env: environment(),
  });
  const closed = new Promise((resolve) => child.on("close", resolve));
  const close = async () => {
    child.kill("SIGTERM");
    await closed;
    await removeProfile(profile);
  };
  return { child, close };
}

/** Helpers of Chromium outlive it for a moment and may write a file into a folder that was just cleared. */
async function removeProfile(profile) {
  const end = Date.now() + LAST_WRITES_MS;
  for (;;) {
    try {
      return rmSync(profile, { recursive: true, force: true });
    } catch (error) {
      if (error.code !== "ENOTEMPTY" || Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export class Chromium {
  #child;
  #close;
  #waiting = new Map();
  #listeners = new Map();
  #calls = 0;

  constructor(program) {
    const pipes = ["ignore", "ignore", "ignore", "pipe", "pipe"];
    ({ child: this.#child, close: this.#close } = openChromium(program, DRIVEN, "about:blank", pipes));
    let text = "";
    this.#child.stdio[4].on("data", (bytes) => {
      const messages = (text + bytes).split("\0");
      text = messages.pop();
      for (const message of messages) this.#take(JSON.parse(message));
    });
  }

  /** A new page, with nothing in it yet. */
  async open() {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId, targetId);
    this.#listeners.set(sessionId, (message) => page.take(message));
    for (const domain of ["Page", "Runtime", "Network", "Log", "DOM"]) await page.call(`${domain}.enable`);
    return page;
  }

  call(method, params = {}, sessionId = undefined) {
    const id = ++this.#calls;
    this.#child.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${method}: no answer within ${DEADLINE_MS} ms`)),
        DEADLINE_MS,
      );
      this.#waiting.set(id, ({ result, error }) => {
        clearTimeout(late);
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result);
      });
    });
  }

  async close() {
    await this.#close();
  }

  #take(message) {
    if (message.id === undefined) return this.#listeners.get(message.sessionId)?.(message);
    this.#waiting.get(message.id)?.(message);
    this.#waiting.delete(message.id);
  }
}

class Page {
  /** Requests of the page: `{ url, status, bytes }`, the bytes as they came over the wire. */
  requests = [];
  /** What went wrong in it: exceptions, errors of the console, what its policy forbade, dialogs. */
  problems = [];
  #browser;
  #session;
  #target;

  constructor(browser, session, target) {
    this.#browser = browser;
    this.#session = session;
    this.#target = target;
  }

  async close() {
    await this.#browser.call("Target.closeTarget", { targetId: this.#target });
  }

  call(method, params) {
    return this.#browser.call(method, params, this.#session);
  }

  async goto(url) {
    await this.call("Page.navigate", { url });
  }

  /** The value of an expression in the page; a promise is waited for. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Resolves to the value of an expression as soon as it is neither false nor missing. */
  async waitFor(expression, what = expression) {
    const end = Date.now() + DEADLINE_MS;
    for (;;) {
      const value = await this.evaluate(expression).catch(() => undefined);
      if (value) return value;
      if (Date.now() > end) {
        const text = await this.evaluate("document.body.innerText").catch(() => "");
        throw new Error(
          `${what}: not so within ${DEADLINE_MS} ms; the page says ${JSON.stringify(text.slice(0, 400))}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Resolves when the page shows `text` somewhere. */
  async waitForText(text) {
    await this.waitFor(
      `document.body.innerText.includes(${JSON.stringify(text)})`,
      `the page shows "${text}"`,
    );
  }

  /** Clicks the first element of a selector that has this text. */
  async click(selector, text = "") {
    const found = `[...document.querySelectorAll(${JSON.stringify(selector)})]` +
      `.find((each) => each.textContent.includes(${JSON.stringify(text)}))`;
    await this.waitFor(`${found} !== undefined`, `there is ${selector} with "${text}"`);
    await this.evaluate(`${found}.click()`);
  }

  /** Files of this machine as a person chooses them. */
  async chooseFiles(selector, files) {
    const { root } = await this.call("DOM.getDocument");
    const { nodeId } = await this.call("DOM.querySelector", { nodeId: root.nodeId, selector });
    await this.call("DOM.setFileInputFiles", { nodeId, files });
  }

  /** Files of this machine as a person drops them on the page. */
  async dropFiles(files) {
    const drag = { items: [], files, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) {
      await this.call("Input.dispatchDragEvent", { type, x: 300, y: 300, data: drag });
    }
  }

  /** A picture of what a window of this size shows, as the bytes of a PNG. */
  async screenshot({ width, height, isDark = false }) {
    const features = [{ name: "prefers-color-scheme", value: isDark ? "dark" : "light" }];
    await this.call("Emulation.setEmulatedMedia", { features });
    await this.call("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { data } = await this.call("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }

  take({ method, params }) {
    if (method === "Network.responseReceived") {
      const { url, status } = params.response;
      if (url.startsWith("http")) this.requests.push({ id: params.requestId, url, status, bytes: 0 });
    } else if (method === "Network.dataReceived") {
      // Of a request that the page gives up when it has enough, this is all that is said.
      const request = this.requests.find(({ id }) => id === params.requestId);
      if (request) request.bytes += params.dataLength;
    } else if (method === "Network.loadingFinished") {
      const request = this.requests.find(({ id }) => id === params.requestId);
      if (request) request.bytes = params.encodedDataLength;
    } else if (method === "Runtime.exceptionThrown") {
      const { exceptionDetails: details } = params;
      this.problems.push(details.exception?.description ?? details.text);
    } else if (method === "Log.entryAdded" && params.entry.level === "error") {
      this.problems.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    } else if (method === "Page.javascriptDialogOpening") {
      this.problems.push(`a dialog: ${params.message}`);
      void this.call("Page.handleJavaScriptDialog", { accept: true });
    }
  }
}
