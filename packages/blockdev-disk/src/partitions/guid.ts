/** GUIDs as GPT stores them: the first three fields little endian, the rest in byte order (UEFI appendix A). */

export const ZERO_GUID = "00000000-0000-0000-0000-000000000000";

/** Partition types by the short names that sfdisk knows too. */
export const GPT_TYPES: Readonly<Record<string, string>> = {
  linux: "0fc63daf-8483-4772-8e79-3d69d8477de4",
  swap: "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f",
  home: "933ac7e1-2eb4-4f13-b844-0e14e2aef915",
  uefi: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
  raid: "a19d880f-05fc-4d3b-a006-743f0f84911e",
  lvm: "e6d6d379-f507-44c2-a23c-238f2a3df928",
  "bios-boot": "21686148-6449-6e6f-744e-656564454649",
  windows: "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
};

export function readGuid(view: DataView, at: number): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
  let tail = "";
  for (let i = 8; i < 16; i++) tail += (i === 10 ? "-" : "") + hex(view.getUint8(at + i), 2);
  return `${hex(view.getUint32(at, true), 8)}-${hex(view.getUint16(at + 4, true), 4)}-${hex(view.getUint16(at + 6, true), 4)}-${tail}`;
}

/** @throws RangeError when `guid` is none. */
export function writeGuid(view: DataView, at: number, guid: string): void {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(guid))
    throw new RangeError(`"guid" expected GUID, got "${guid}"`);
  const digits = guid.replaceAll("-", "");
  const part = (from: number, to: number): number => Number.parseInt(digits.slice(from, to), 16);
  view.setUint32(at, part(0, 8), true);
  view.setUint16(at + 4, part(8, 12), true);
  view.setUint16(at + 6, part(12, 16), true);
  for (let i = 8; i < 16; i++) view.setUint8(at + i, part(i * 2, i * 2 + 2));
}
