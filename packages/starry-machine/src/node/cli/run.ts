/// <reference types="node" />
/** `starry run`: one program, as process 1, on the caller's streams. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { GuestFiles } from "../../guest-files.ts";
import { FileError } from "../../image/files.ts";
import { FileTree } from "../../image/tree.ts";
import { helpText, parseOptions, UsageError } from "./options.ts";
import { whyNotExecutable } from "./program-kind.ts";
import { environment, runSession, user, workingDirectory } from "./session.ts";

export const RUN_USAGE = "starry run [OPTIONS] [--] PROGRAM [ARGUMENT...]";

/** Where programs of the host are put in the guest. */
const HOST_PROGRAMS = "/run/host-programs";
const EXIT_NOT_FOUND = 127;
const EXIT_NOT_EXECUTABLE = 126;
/** What execve says of a program that cannot be run. */
const EXEC_ERRORS: ReadonlySet<string> = new Set(["ENOENT", "EACCES", "ENOEXEC", "ENOTDIR", "ELOOP", "ENAMETOOLONG"]);

export async function run(words: readonly string[]): Promise<number> {
  const parsed = parseOptions("run", words);
  if (parsed.help) {
    process.stdout.write(helpText("run", RUN_USAGE));
    return 0;
  }
  const [program, ...args] = parsed.rest;
  if (program === undefined) throw new UsageError(`usage: ${RUN_USAGE}`);
  let path = "";
  let why: string | undefined;
  try {
    return await runSession({
      parsed,
      alwaysConsole: false,
      program: (files) => {
        const env = environment(parsed, "/root");
        const cwd = workingDirectory(parsed, files, "/");
        path = locate(program, files, env);
        why = whyNotExecutable(path, files);
        return { path, argv: [program, ...args], env, cwd, ...user(parsed) };
      },
    });
  } catch (error) {
    if (!(error instanceof FileError) || error.path !== path || !EXEC_ERRORS.has(error.code)) throw error;
    process.stderr.write(`starry: ${program}: ${why ?? error.message.slice(error.message.indexOf(": ") + 2)}\n`);
    return error.code === "ENOENT" ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
  }
}

/** Path of `program` in the guest: as it is, along PATH, or after a copy from the host. */
function locate(program: string, files: GuestFiles, env: readonly string[]): string {
  const relative = program.startsWith("./") || program.startsWith("../");
  if (!relative) {
    if (program.includes("/")) {
      if (files.exists(program)) return program;
    } else {
      const path = env.find((word) => word.startsWith("PATH="))?.slice(5) ?? "";
      const found = path.split(":").find((folder) => files.exists(`${folder}/${program}`));
      if (found !== undefined) return `${found}/${program}`;
    }
  }
  if ((relative || program.includes("/") || existsSync(program)) && existsSync(program) && statSync(program).isFile()) {
    const target = `${HOST_PROGRAMS}/${basename(program)}`;
    const data = readFileSync(resolve(program));
    files.place(FileTree.ofFile({ type: "file", data, mode: 0o755, uid: 0, gid: 0, mtime: 0 }), target);
    return target;
  }
  return program; // execve says what is wrong with it
}
