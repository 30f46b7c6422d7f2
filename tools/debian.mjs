// Installs Debian packages that the project needs on a machine that may do so: a software Vulkan, and for the tests
// a browser, Python, two MPIs, and what a server of S3 is made of.
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** True where this process can install Debian packages. */
export function canInstall() {
  return process.platform === "linux" && process.getuid?.() === 0 &&
    spawnSync("apt-get", ["--version"], { stdio: "ignore" }).status === 0;
}

function codename() {
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  return /^VERSION_CODENAME=(\S+)/m.exec(release)?.[1] ?? "";
}

/** The machine's own apt entries for `suite`, as `{ uri, signedBy }`, from both formats that apt reads. */
function ownSources(suite) {
  const found = [];
  const folder = "/etc/apt/sources.list.d";
  const files = [
    "/etc/apt/sources.list",
    ...(existsSync(folder) ? readdirSync(folder).map((f) => join(folder, f)) : []),
  ];
  for (const file of files.filter((f) => existsSync(f))) {
    const text = readFileSync(file, "utf8");
    if (file.endsWith(".sources")) found.push(...deb822Sources(text, suite));
    else if (file.endsWith(".list")) found.push(...lineSources(text, suite));
  }
  return found;
}

/** Where this machine has Debian's packages from, as `{ uri, signedBy }`; `undefined` where it is no Debian. */
export function ownSourceOf() {
  return ownSources(codename())[0];
}

function deb822Sources(text, suite) {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name) => new RegExp(`^${name}:\\s*(.+)$`, "mi").exec(stanza)?.[1].trim();
    const matches = field("Suites")?.split(/\s+/).includes(suite) && !/^Enabled:\s*no/mi.test(stanza);
    return matches ? [{ uri: field("URIs").split(/\s+/)[0], signedBy: field("Signed-By") }] : [];
  });
}

function lineSources(text, suite) {
  return [...text.matchAll(/^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s/gm)]
    .filter(([, , , name]) => name === suite)
    .map(([, options, uri]) => ({ uri, signedBy: /signed-by=(\S+)/.exec(options ?? "")?.[1] }));
}

/** Runs apt with the machine's sources and, on Debian 12, its backports suite, without changing /etc. */
function withBackports(work) {
  const suite = codename();
  const [own] = suite === "bookworm" ? ownSources(suite) : [];
  const folder = mkdtempSync(join(tmpdir(), "cairn-apt-"));
  try {
    const parts = join(folder, "parts");
    mkdirSync(parts);
    if (existsSync("/etc/apt/sources.list.d")) cpSync("/etc/apt/sources.list.d", parts, { recursive: true });
    if (own) {
      const signed = own.signedBy ? `[signed-by=${own.signedBy}] ` : "";
      writeFileSync(join(parts, "cairn-backports.list"), `deb ${signed}${own.uri} ${suite}-backports main\n`);
    }
    return work(["-o", `Dir::Etc::sourceparts=${parts}`], own ? ["-t", `${suite}-backports`] : []);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function apt(args) {
  execFileSync("apt-get", ["-qq", "-o", "Acquire::Retries=3", ...args], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
}

/** Mesa's lavapipe. Debian 12's own version serves Deno only; Dawn (Bun, Node) needs the one from backports. */
export function installSoftwareVulkan() {
  withBackports((sources, target) => {
    apt([...sources, "update"]);
    apt([
      ...sources,
      ...target,
      "install",
      "-y",
      "--no-install-recommends",
      "mesa-vulkan-drivers",
      "libvulkan1",
    ]);
  });
}

export function installPython() {
  apt(["update"]);
  apt(["install", "-y", "--no-install-recommends", "python3"]);
}

/** What moto imports, at the versions of this Debian. */
export function installMotoDependencies() {
  const modules = ["boto3", "cryptography", "flask", "flask-cors", "responses", "xmltodict"].map((name) =>
    `python3-${name}`
  );
  apt(["update"]);
  apt(["install", "-y", "--no-install-recommends", "python3", ...modules]);
}

/** Both MPIs, side by side: Debian calls their launchers `mpiexec.mpich` and `mpiexec.openmpi`. */
export function installMpi() {
  apt(["update"]);
  apt(["install", "-y", "--no-install-recommends", "mpich", "openmpi-bin"]);
}

export function installChromium() {
  apt(["update"]);
  apt(["install", "-y", "--no-install-recommends", "chromium"]);
}
