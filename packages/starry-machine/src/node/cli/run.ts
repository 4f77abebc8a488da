/// <reference types="node" />
/** `starry run`: one program, as process 1, on the caller's streams. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { GuestFiles } from "../../guest-files.ts";
import { FileTree } from "../../image/tree.ts";
import { helpText, parseOptions, UsageError } from "./options.ts";
import { environment, runSession, user } from "./session.ts";

export const RUN_USAGE = "starry run [OPTIONS] [--] PROGRAM [ARGUMENT...]";

/** Where programs of the host are put in the guest. */
const HOST_PROGRAMS = "/run/host-programs";
const EXIT_NOT_FOUND = 127;
const EXIT_NOT_EXECUTABLE = 126;

export async function run(words: readonly string[]): Promise<number> {
  const parsed = parseOptions("run", words);
  if (parsed.help) {
    process.stdout.write(helpText("run", RUN_USAGE));
    return 0;
  }
  const [program, ...args] = parsed.rest;
  if (program === undefined) throw new UsageError(`usage: ${RUN_USAGE}`);
  try {
    return await runSession({
      parsed,
      alwaysConsole: false,
      program: (files) => {
        const env = environment(parsed, "/root");
        return {
          path: locate(program, files, env),
          argv: [program, ...args],
          env,
          cwd: (parsed.values.get("cwd") as string | undefined) ?? "/",
          ...user(parsed),
        };
      },
    });
  } catch (error) {
    const { code } = error as { code?: string };
    if (error instanceof UsageError || (code !== "ENOENT" && code !== "EACCES" && code !== "ENOEXEC")) throw error;
    process.stderr.write(`starry: ${(error as Error).message}\n`);
    return code === "ENOENT" ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
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
