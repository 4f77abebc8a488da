import { expect, test } from "vitest";
import { isaString, SUPERVISOR_EXTENSIONS, USER_EXTENSIONS } from "./extensions.ts";
import { INSTRUCTIONS } from "./instructions.ts";

test("every extension of the instruction table is advertised, and every advertised one that has instructions is in the table", () => {
  const inTable = new Set(INSTRUCTIONS.map(({ extension }) => extension.toLowerCase()));
  inTable.delete("s"); // privileged instructions: no extension of their own
  for (const name of inTable) expect(USER_EXTENSIONS).toContain(name);
  // Compressed forms are expanded, PAUSE is a FENCE hint of the base, Zicntr is CSRs.
  const elsewhere = ["c", "zihintpause", "zicntr"];
  for (const name of USER_EXTENSIONS) if (!elsewhere.includes(name)) expect([...inTable]).toContain(name);
});

test("the ISA string is in canonical form", () => {
  expect(isaString([...USER_EXTENSIONS, ...SUPERVISOR_EXTENSIONS])).toBe(
    "rv64imafdc_zicbom_zicboz_zicntr_zicond_zicsr_zifencei_zihintpause_zba_zbb_zbs_sstc_svadu",
  );
});
