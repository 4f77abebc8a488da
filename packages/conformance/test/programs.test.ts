/// <reference types="node" />
/**
 * Debian's own programs on our kernel, against the same binaries under qemu-riscv64 (or against a pattern where qemu
 * would show the host: /proc, process ids). Without apt-get there is no Debian root, without qemu no comparison: skipped.
 */
import { describe } from "vitest";
import { BASIC_CASES } from "./support/basic-cases.ts";
import { BASIC_PACKAGES } from "./support/images.ts";
import { programTests } from "./support/program-tests.ts";

describe("Debian's basic programs", () => programTests(BASIC_PACKAGES, BASIC_CASES, "basic"));
