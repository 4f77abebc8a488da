/// <reference types="node" />
/**
 * The `starry` command: `run`, `boot`, `image`.
 *
 * Exit status: the guest program's; 124 on --timeout; 125 for our own errors; 126 and 127 as a shell has them.
 */
import { readFileSync } from "node:fs";
import { FileError } from "../../image/files.ts";
import { BOOT_USAGE, boot } from "./boot.ts";
import { imageCommand, imageUsage } from "./image.ts";
import { helpText, UsageError } from "./options.ts";
import { RUN_USAGE, run } from "./run.ts";

/** What the command returns for its own errors. */
export const EXIT_OUR_ERROR = 125;

/** Runs the command line `words` (without "node" and the script); returns the exit status. */
export async function main(words: readonly string[]): Promise<number> {
  try {
    return await dispatch(words);
  } catch (error) {
    if (
      error instanceof UsageError ||
      error instanceof FileError ||
      (error as NodeJS.ErrnoException).code !== undefined ||
      isPlain(error)
    ) {
      process.stderr.write(`starry: ${(error as Error).message}\n`);
    } else {
      process.stderr.write(`starry: ${error instanceof Error ? error.stack : String(error)}\n`);
    }
    return EXIT_OUR_ERROR;
  }
}

async function dispatch(words: readonly string[]): Promise<number> {
  const [command, ...rest] = words;
  switch (command) {
    case "run":
      return run(rest);
    case "boot":
      return boot(rest);
    case "image":
      return imageCommand(rest, (text) => process.stdout.write(text));
    case "--version":
    case "-V":
      process.stdout.write(`starry ${version()}\n`);
      return 0;
    case "--help":
    case "-h":
    case "help":
      process.stdout.write(usage());
      return 0;
    case undefined:
      process.stderr.write(usage());
      return EXIT_OUR_ERROR;
    default:
      throw new UsageError(`unknown command ${command}; it is one of run, boot, image (starry --help)`);
  }
}

function usage(): string {
  return `starry: runs riscv64 Linux programs on a kernel and a machine written in TypeScript\n
${helpText("run", RUN_USAGE)}
${helpText("boot", BOOT_USAGE)}
${imageUsage()}
Exit status: the guest's; 124 after --timeout, 125 for errors of starry itself, 126 not executable, 127 not found.
`;
}

/** Errors made with `new Error(message)` for the user; subclasses such as TypeError are bugs and print their stack. */
function isPlain(error: unknown): boolean {
  return error instanceof Error && Object.getPrototypeOf(error) === Error.prototype;
}

function version(): string {
  return JSON.parse(readFileSync(new URL(import.meta.resolve("starry-machine/package.json")), "utf8")).version;
}
