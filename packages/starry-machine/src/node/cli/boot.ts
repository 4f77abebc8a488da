/// <reference types="node" />
/** `starry boot`: the machine with its init, or a shell, on the terminal. */
import type { GuestFiles } from "../../guest-files.ts";
import type { InitProgram } from "../../machine.ts";
import { debianImage } from "../debian-image.ts";
import { helpText, type Parsed, parseOptions } from "./options.ts";
import { environment, runSession, user, workingDirectory } from "./session.ts";

export const BOOT_USAGE = "starry boot [OPTIONS] [-- INIT ARGUMENT...]";

/** The image's own init is preferred; a distribution's packages may bring none, then a login shell is process 1. */
const INITS: readonly (readonly [path: string, ...argv: string[]])[] = [
  ["/sbin/init", "init"],
  ["/etc/init", "init"],
  ["/bin/bash", "-bash"],
  ["/bin/sh", "-sh"],
];

export async function boot(words: readonly string[]): Promise<number> {
  const parsed = parseOptions("boot", words);
  if (parsed.help) {
    process.stdout.write(helpText("boot", BOOT_USAGE));
    return 0;
  }
  const text = (name: string) => parsed.values.get(name) as string | undefined;
  const packages = text("debian")?.split(",");
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  const image =
    packages === undefined ? undefined : debianImage(packages, log, { suite: text("suite"), mirror: text("mirror") });
  return runSession({
    parsed,
    alwaysConsole: true,
    ...(image === undefined ? {} : { image }),
    program: (files) => ({
      ...choose(parsed, files),
      env: environment(parsed, "/root"),
      cwd: workingDirectory(parsed, files, files.exists("/root") ? "/root" : "/"),
      ...user(parsed),
    }),
  });
}

function choose(parsed: Parsed, files: GuestFiles): Pick<InitProgram, "path" | "argv"> {
  const command = parsed.values.get("command") as string | undefined;
  const [given, ...args] = parsed.rest.length > 0 ? parsed.rest : kernelInit(parsed);
  const [path, argv0] =
    given === undefined ? (INITS.find(([each]) => files.exists(each)) ?? ["/bin/sh", "-sh"]) : [given, given];
  if (command === undefined) return { path, argv: [argv0, ...args] };
  // Our own init takes the command; a shell does too.
  return argv0 === "init" ? { path, argv: [argv0, "-c", command] } : { path: "/bin/sh", argv: ["sh", "-c", command] };
}

/** `init=PATH` of the kernel command line. */
function kernelInit(parsed: Parsed): string[] {
  const words = ((parsed.values.get("append") as string | undefined) ?? "").split(/\s+/);
  const init = words.find((word) => word.startsWith("init="));
  return init === undefined ? [] : [init.slice(5)];
}
