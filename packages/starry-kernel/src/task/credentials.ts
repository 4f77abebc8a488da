/**
 * User and group identity and capabilities of a task: Linux's `struct cred`.
 *
 * A value that is replaced, never changed in place once a task uses it: `task.cred = task.cred.with(...)`.
 * Tasks and open files may share one object.
 */
import { CAP_LAST_CAP } from "linux-abi";

/** A set of capabilities: bit n of `lo` for 0..31, bit n − 32 of `hi` for the rest. */
export interface CapabilitySet {
  readonly lo: number;
  readonly hi: number;
}

export const NO_CAPABILITIES: CapabilitySet = { lo: 0, hi: 0 };
export const ALL_CAPABILITIES: CapabilitySet = { lo: -1, hi: (1 << (CAP_LAST_CAP - 31)) - 1 };

export function hasCapability(set: CapabilitySet, capability: number): boolean {
  const word = capability < 32 ? set.lo : set.hi;
  return ((word >>> (capability & 31)) & 1) !== 0;
}

export interface CredentialFields {
  readonly uid: number;
  readonly euid: number;
  readonly suid: number;
  readonly fsuid: number;
  readonly gid: number;
  readonly egid: number;
  readonly sgid: number;
  readonly fsgid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  readonly effective: CapabilitySet;
  readonly permitted: CapabilitySet;
  readonly inheritable: CapabilitySet;
  readonly bounding: CapabilitySet;
  readonly ambient: CapabilitySet;
  /** SECBIT_* */
  readonly secureBits: number;
}

export class Credentials implements CredentialFields {
  readonly uid: number;
  readonly euid: number;
  readonly suid: number;
  readonly fsuid: number;
  readonly gid: number;
  readonly egid: number;
  readonly sgid: number;
  readonly fsgid: number;
  readonly groups: readonly number[];
  readonly effective: CapabilitySet;
  readonly permitted: CapabilitySet;
  readonly inheritable: CapabilitySet;
  readonly bounding: CapabilitySet;
  readonly ambient: CapabilitySet;
  readonly secureBits: number;

  constructor(from: CredentialFields) {
    this.uid = from.uid;
    this.euid = from.euid;
    this.suid = from.suid;
    this.fsuid = from.fsuid;
    this.gid = from.gid;
    this.egid = from.egid;
    this.sgid = from.sgid;
    this.fsgid = from.fsgid;
    this.groups = from.groups;
    this.effective = from.effective;
    this.permitted = from.permitted;
    this.inheritable = from.inheritable;
    this.bounding = from.bounding;
    this.ambient = from.ambient;
    this.secureBits = from.secureBits;
  }

  with(changes: Partial<CredentialFields>): Credentials {
    return new Credentials({ ...this, ...changes });
  }

  /** The task has the effective capability CAP_*. */
  hasCapability(capability: number): boolean {
    return hasCapability(this.effective, capability);
  }

  /** `gid` is the file-system group or one of the supplementary groups. */
  inGroup(gid: number): boolean {
    return gid === this.fsgid || this.groups.includes(gid);
  }

  /** Root with every capability, or an ordinary user. */
  static forUser(uid: number, gid: number, groups: readonly number[] = []): Credentials {
    const caps = uid === 0 ? ALL_CAPABILITIES : NO_CAPABILITIES;
    return new Credentials({
      uid,
      euid: uid,
      suid: uid,
      fsuid: uid,
      gid,
      egid: gid,
      sgid: gid,
      fsgid: gid,
      groups,
      effective: caps,
      permitted: caps,
      inheritable: NO_CAPABILITIES,
      bounding: ALL_CAPABILITIES,
      ambient: NO_CAPABILITIES,
      secureBits: 0,
    });
  }
}
