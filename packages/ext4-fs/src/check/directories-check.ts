/**
 * Pass 2: every block of every directory.
 *
 * A wrong entry is cleared where it stands. What is wrong with a block as a whole, or with "." and "..", is left to
 * rebuild-directory.ts, which writes the directory anew from the entries that are good.
 */
import { XATTR_INDEX_SYSTEM } from "../xattr/layout.ts";
import { crc32c } from "../checksum/crc32c.ts";
import { DIR_TAIL_SIZE, DIR_TAIL_TYPE } from "../checksum/metadata-checksum.ts";
import { entrySize, recordLength, setRecordLength } from "../directory/entry.ts";
import { EXT4_FEATURE_COMPAT_ORPHAN_FILE } from "../features.ts";
import { EXT4_BG_INODE_UNINIT } from "../group-descriptor.ts";
import { type CoreInode, I_BLOCK, I_BLOCKS_HIGH, I_FILE_ACL_HIGH, I_SIZE_HIGH } from "../inode.ts";
import { EXT4_ROOT_INO, S_ORPHAN_FILE_INUM } from "../superblock.ts";
import { type Checker, type DirectoryInfo, OS_HURD, S_CREATOR_OS } from "./checker.ts";
import { HtreeScan } from "./htree-check.ts";
import {
  clearInode,
  deviceIsValid,
  encryptionContext,
  fileTypeOf,
  FT_DIR,
  FT_REG_FILE,
  FT_SYMLINK,
  I_FADDR,
  quotaInodes,
  symlinkIsValid,
} from "./inodes-check.ts";
import { inlineSize } from "./inode-blocks.ts";
import { inodeXattrs } from "./xattrs-check.ts";

const S_ENCODING_FLAGS = 0x27e;
const EXT4_ENC_STRICT_MODE_FL = 1;
/** Bytes of inline directory entries in i_block, behind the parent's number. */
const INLINE_START = 4;
const INLINE_BLOCK = 60;
const MIN_ENCRYPTED_NAME = 16;

export function checkDirectories(ck: Checker, interrupted: (done: number, total: number) => boolean): void {
  let done = 0;
  for (const dir of ck.directories.values()) {
    if (interrupted(done++, ck.directories.size)) return;
    if (ck.inodesUsed.has(dir.ino)) new DirectoryScan(ck, dir).run();
  }
}

/** A name for messages: printable, the rest as dots. */
export function printable(bytes: Uint8Array, at: number, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) {
    const byte = bytes[at + i];
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".";
  }
  return text;
}

class DirectoryScan {
  readonly #ck: Checker;
  readonly #dir: DirectoryInfo;
  readonly #htree: HtreeScan | null;
  /** Entries carry their hash behind the name. */
  readonly #hashed: boolean;
  readonly #policy: string | undefined;
  /** 0: "." comes next, 1: "..", 2: others. */
  #state = 0;
  #changed = false;
  /** Something in the block under way was reported. */
  #noticed = false;
  #names = new Set<string>();

  constructor(ck: Checker, dir: DirectoryInfo) {
    this.#ck = ck;
    this.#dir = dir;
    // A directory with more holes than blocks has no index to speak of; the holes are reported.
    const mapped = dir.runs.reduce((sum, value, i) => (i % 3 === 2 && dir.runs[i - 1] !== 0 ? sum + value : sum), 0);
    const scan = dir.indexed && !dir.inline && dir.blockCount > 0 && dir.blockCount <= 2 * mapped;
    this.#htree = scan ? new HtreeScan(ck, dir) : null;
    this.#hashed = dir.casefold && dir.encrypted;
    const inode = dir.encrypted ? ck.readInode(dir.ino) : undefined;
    this.#policy = inode === undefined ? undefined : encryptionContext(ck, inode);
  }

  run(): void {
    const ck = this.#ck;
    const dir = this.#dir;
    if (dir.ino === EXT4_ROOT_INO) dir.parent = EXT4_ROOT_INO;
    if (dir.inline) {
      this.#inline();
      return;
    }
    const block = new Uint8Array(ck.blockSize);
    const view = new DataView(block.buffer);
    for (let i = 0; i < dir.runs.length; i += 3) {
      for (let k = 0; k < dir.runs[i + 2]; k++) {
        const index = dir.runs[i] + k;
        if (dir.runs[i + 1] === 0) {
          if (ck.hasLargeDir && !ck.hasInline) break;
          if (ck.problem("directory-hole", { inode: dir.ino, value: index })) this.#rebuild();
          if (k > 100) break; // said often enough
        } else {
          this.#block(index, dir.runs[i + 1] + k, block, view);
        }
      }
    }
    const trouble = this.#htree?.finish() ?? "";
    if (trouble !== "" && ck.problem("htree-damaged", { inode: dir.ino, detail: trouble })) this.#rebuild();
  }

  #rebuild(): void {
    this.#ck.rebuildDirectories.add(this.#dir.ino);
    this.#ck.again = true;
  }

  #block(index: number, block: number, bytes: Uint8Array, view: DataView): void {
    const ck = this.#ck;
    const { ino, seed } = this.#dir;
    if (ck.readInto(block, bytes) < 0) {
      if (ck.problem("directory-read", { inode: ino, block })) this.#rebuild();
      return;
    }
    this.#changed = false;
    this.#noticed = false;
    this.#names = new Set();
    this.#state = index === 0 ? 0 : 2;
    const isIndex = this.#htree?.block(index, block, bytes, view, recordLength(view, 0)) ?? false;
    let end = ck.blockSize;
    let badChecksum = false;
    if (ck.hasChecksums && !isIndex) {
      const tail = end - DIR_TAIL_SIZE;
      const hasTail =
        view.getUint32(tail, true) === 0 &&
        view.getUint16(tail + 4, true) === DIR_TAIL_SIZE &&
        bytes[tail + 6] === 0 &&
        bytes[tail + 7] === DIR_TAIL_TYPE;
      if (hasTail) {
        end = tail;
        badChecksum = view.getUint32(tail + 8, true) !== crc32c(seed, bytes, 0, tail);
      } else {
        if (ck.problem("directory-no-tail", { inode: ino, block })) this.#rebuild();
      }
    }
    this.#records(bytes, view, 0, end, index, block, isIndex);
    if (badChecksum && !this.#noticed) this.#fix("directory-checksum", { inode: ino, block }, () => {});
    if (!this.#changed) return;
    if (ck.hasChecksums && end < ck.blockSize) view.setUint32(end + 8, crc32c(seed, bytes, 0, end), true);
    // An index block that was changed gets its checksum when the directory is written anew.
    if (isIndex && ck.hasChecksums) this.#rebuild();
    ck.write(block, bytes);
  }

  #inline(): void {
    const ck = this.#ck;
    const { ino } = this.#dir;
    const inode = ck.readInode(ino);
    if (inode === undefined) return;
    const size = inlineSize(ck, inode);
    if (size < 0) return;
    if ((size & 3) !== 0 || (size > INLINE_BLOCK && size < INLINE_BLOCK + 12)) {
      if (ck.problem("directory-inline-size", { inode: ino, value: size })) clearInode(ck, inode);
      return;
    }
    this.#changed = false;
    this.#names = new Set();
    this.#dir.dotdot = inode.view.getUint32(I_BLOCK, true);
    this.#count(ino, FT_DIR, true);
    this.#count(this.#dir.dotdot, FT_DIR, true);
    this.#state = 2;
    this.#records(inode.raw, inode.view, I_BLOCK + INLINE_START, I_BLOCK + INLINE_BLOCK, 0, 0, false);
    const item = inodeXattrs(ck, inode).find((each) => each.index === XATTR_INDEX_SYSTEM && each.name === "data");
    if (item !== undefined && item.size > 0)
      this.#records(inode.raw, inode.view, item.valueAt, item.valueAt + item.size, 1, 0, false);
    if (this.#changed) ck.writeInode(inode);
  }

  /** Reports; in repair, applies `repair` and marks the block as changed. */
  #fix(code: Parameters<Checker["problem"]>[0], detail: object, repair: () => void): boolean {
    this.#noticed = true;
    if (!this.#ck.problem(code, { inode: this.#dir.ino, ...detail })) return false;
    repair();
    this.#changed = true;
    return true;
  }

  #records(
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    index: number,
    block: number,
    isIndex: boolean,
  ): void {
    const ck = this.#ck;
    let previous = -1;
    for (let at = start; at < end; ) {
      const length = end - at < 8 ? 0 : recordLength(view, at);
      const extra = this.#hashed && this.#state > 1 ? 8 : 0;
      const needed = end - at < 8 ? 0 : entrySize(bytes[at + 6]) + (extra > 0 && bytes[at + 6] > 0 ? extra : 0);
      if (length < 12 || (length & 3) !== 0 || at + length > end || needed > length) {
        const repaired = this.#fix("directory-corrupt", { block, value: at - start }, () =>
          salvage(view, bytes, previous, at, end, ck.g.inodesCount),
        );
        if (this.#state < 2 && ck.repair) this.#rebuild();
        if (!repaired) return;
        if (previous >= 0) at = previous + recordLength(view, previous);
        continue;
      }
      this.#entry(bytes, view, at, length, index, isIndex);
      previous = at;
      at += length;
      if (this.#state < 2) this.#state++;
    }
    if (this.#state < 2 && start === 0 && this.#fix("dotdot-missing", {}, () => {})) this.#rebuild();
  }

  #entry(bytes: Uint8Array, view: DataView, at: number, length: number, index: number, isIndex: boolean): void {
    const ck = this.#ck;
    const { ino } = this.#dir;
    const target = view.getUint32(at, true);
    const nameLength = bytes[at + 6];
    if (this.#state < 2) {
      this.#dots(bytes, view, at, length, target, nameLength);
      return;
    }
    if (target === 0) return;
    const name = (): string => printable(bytes, at + 8, nameLength);
    const clear = (): void => view.setUint32(at, 0, true);
    const g = ck.g;
    const dots =
      nameLength <= 2 && nameLength > 0 && bytes[at + 8] === 0x2e && (nameLength === 1 || bytes[at + 9] === 0x2e);
    if (target === ino) {
      this.#fix("entry-links-here", { name: name() }, clear);
      return;
    }
    if ((target !== EXT4_ROOT_INO && target < g.firstInode) || target > g.inodesCount || isHidden(ck, target)) {
      this.#fix("entry-inode", { name: name(), value: target }, clear);
      return;
    }
    if (dots) {
      this.#fix("entry-dot", { name: name() }, clear);
      return;
    }
    if (target === EXT4_ROOT_INO) {
      this.#fix("entry-links-root", { name: name() }, clear);
      return;
    }
    if (nameLength === 0) {
      this.#fix("entry-empty-name", {}, clear);
      return;
    }
    const group = ck.groupOfInode(target);
    if (
      !ck.inodesUsed.has(target) &&
      ck.hasGroupChecksums &&
      (target - 1) % g.inodesPerGroup >= ck.usedPartOfTable(group)
    ) {
      this.#fix("entry-unused-inode", { name: name(), value: target }, () => {
        // The table may be right and the mark wrong: look at all of it in another round.
        const gd = ck.descriptors[group];
        if ((gd.flags & EXT4_BG_INODE_UNINIT) !== 0) clear();
        gd.flags &= ~EXT4_BG_INODE_UNINIT;
        gd.itableUnused = 0;
        ck.descriptorsDirty = true;
        ck.again = true;
      });
      return;
    }
    if (!ck.inodesUsed.has(target)) {
      this.#fix("entry-deleted-inode", { name: name(), value: target }, clear);
      return;
    }
    if (ck.inodesOdd.has(target) && judgeOddInode(ck, target)) {
      clear();
      this.#changed = true;
      return;
    }
    this.#checkName(bytes, view, at, nameLength, target);
    if (view.getUint32(at, true) === 0) return;
    this.#checkType(bytes, at, nameLength, target);
    if (!isIndex) this.#htree?.entry(index, bytes, at + 8, nameLength);
    this.#checkDuplicate(bytes, view, at, length, nameLength);
    if (view.getUint32(at, true) === 0) return;
    const child = ck.directories.get(target);
    if (child !== undefined) {
      if (child.parent !== 0) {
        this.#fix("entry-second-parent", { name: name(), value: target }, clear);
        if (ck.repair) return;
      } else {
        child.parent = ino;
        if (ino === EXT4_ROOT_INO && name() === "lost+found") ck.lostFound = target;
      }
    }
    this.#count(target, ck.fileTypes.get(target), false);
  }

  #count(target: number, _type: number, dot: boolean): void {
    const ck = this.#ck;
    if (dot && (target < 1 || target > ck.g.inodesCount || !ck.inodesUsed.has(target))) return;
    ck.linksFound.increment(target);
  }

  /** "." and "..", which come first. */
  #dots(bytes: Uint8Array, view: DataView, at: number, length: number, target: number, nameLength: number): void {
    const ck = this.#ck;
    const { ino } = this.#dir;
    const wanted = this.#state + 1;
    const isDots = nameLength === wanted && bytes[at + 8] === 0x2e && (wanted === 1 || bytes[at + 9] === 0x2e);
    const rebuild = (): void => this.#rebuild();
    if (target === 0 || !isDots) {
      this.#fix(this.#state === 0 ? "dot-missing" : "dotdot-missing", {}, rebuild);
      return;
    }
    const name = this.#state === 0 ? "." : "..";
    if (bytes[at + 8 + nameLength] !== 0 && length > 8 + nameLength)
      this.#fix("dot-padding", { name }, () => {
        bytes[at + 8 + nameLength] = 0;
      });
    if (ck.hasFileType && bytes[at + 7] !== FT_DIR)
      this.#fix("entry-file-type", { name, value: bytes[at + 7], expected: FT_DIR }, () => {
        bytes[at + 7] = FT_DIR;
      });
    if (this.#state === 0) {
      if (target !== ino) this.#fix("dot-inode", { value: target }, () => view.setUint32(at, ino, true));
      if (length - 12 > 12) {
        // Room that the first record wastes; e2fsck splits it off where there is no index behind it.
        this.#fix("dot-too-long", {}, () => splitRecord(view, at, length));
      }
      this.#count(ino, FT_DIR, true);
      return;
    }
    this.#dir.dotdot = target;
    if (target > ck.g.inodesCount || (target !== EXT4_ROOT_INO && target < ck.g.firstInode) || isHidden(ck, target)) {
      // Pass 3 knows what it should be.
      this.#noticed = true;
      ck.report("entry-inode", { inode: ino, name, value: target });
      return;
    }
    if (!ck.inodesUsed.has(target)) {
      this.#noticed = true;
      ck.report("entry-deleted-inode", { inode: ino, name, value: target });
      return;
    }
    this.#count(target, FT_DIR, true);
  }

  #checkName(bytes: Uint8Array, view: DataView, at: number, nameLength: number, target: number): void {
    const ck = this.#ck;
    if (this.#dir.encrypted) {
      this.#checkEncryption(bytes, view, at, nameLength, target);
      return;
    }
    let illegal = this.#dir.casefold && isStrict(ck) && !isUtf8(bytes, at + 8, nameLength);
    const replaceAll = illegal;
    for (let i = at + 8; i < at + 8 + nameLength; i++) if (bytes[i] === 0x2f || bytes[i] === 0) illegal = true;
    if (!illegal) return;
    this.#fix("entry-bad-name", { name: printable(bytes, at + 8, nameLength) }, () => {
      for (let i = at + 8; i < at + 8 + nameLength; i++)
        if (bytes[i] === 0x2f || bytes[i] === 0 || (replaceAll && bytes[i] >= 0x80)) bytes[i] = 0x2e;
      if (this.#htree !== null) this.#rebuild();
    });
  }

  #checkEncryption(bytes: Uint8Array, view: DataView, at: number, nameLength: number, target: number): void {
    const ck = this.#ck;
    const name = printable(bytes, at + 8, nameLength);
    let detail = "";
    const type = ck.fileTypes.get(target);
    if (nameLength < MIN_ENCRYPTED_NAME) {
      detail = "the name is too short";
    } else {
      const inode = ck.readInode(target);
      const policy = inode === undefined ? undefined : encryptionContext(ck, inode);
      const content = type === FT_REG_FILE || type === FT_DIR || type === FT_SYMLINK;
      if (policy === undefined && content) detail = `inode ${target} is not encrypted`;
      else if (policy !== undefined && policy !== this.#policy) detail = `inode ${target} has another policy`;
    }
    if (detail !== "") this.#fix("entry-encryption", { name, detail }, () => view.setUint32(at, 0, true));
  }

  #checkType(bytes: Uint8Array, at: number, nameLength: number, target: number): void {
    const ck = this.#ck;
    const expected = ck.hasFileType ? ck.fileTypes.get(target) : 0;
    const value = bytes[at + 7];
    if (value === expected) return;
    this.#fix("entry-file-type", { name: printable(bytes, at + 8, nameLength), value, expected }, () => {
      bytes[at + 7] = expected;
    });
  }

  #checkDuplicate(bytes: Uint8Array, view: DataView, at: number, length: number, nameLength: number): void {
    let key = "";
    for (let i = 0; i < nameLength; i++) key += String.fromCharCode(bytes[at + 8 + i]);
    if (!this.#names.has(key)) {
      this.#names.add(key);
      return;
    }
    this.#fix("entry-duplicate", { name: printable(bytes, at + 8, nameLength) }, () => {
      if (!this.#rename(bytes, at, length, nameLength)) view.setUint32(at, 0, true);
      if (this.#htree !== null) this.#rebuild();
    });
  }

  /** Gives a second entry of the same name another one, as long as its record has room. */
  #rename(bytes: Uint8Array, at: number, length: number, nameLength: number): boolean {
    const room = Math.min(255, length - 8 - (this.#hashed ? 8 : 0));
    const kept = Math.max(1, Math.min(nameLength, room - 2));
    if (kept + 2 > room) return false;
    let stem = "";
    for (let i = 0; i < kept; i++) stem += String.fromCharCode(bytes[at + 8 + i]);
    for (let k = 0; k < 10; k++) {
      const name = `${stem}~${k}`;
      if (this.#names.has(name)) continue;
      this.#names.add(name);
      bytes[at + 8 + kept] = 0x7e;
      bytes[at + 9 + kept] = 0x30 + k;
      bytes[at + 6] = kept + 2;
      return true;
    }
    return false;
  }
}

/** Names in casefolded directories must be valid in the encoding. */
function isStrict(ck: Checker): boolean {
  return (ck.sb.u16(S_ENCODING_FLAGS) & EXT4_ENC_STRICT_MODE_FL) !== 0;
}

function isUtf8(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = at; i < at + length; ) {
    const lead = bytes[i];
    const more = lead < 0x80 ? 0 : lead < 0xc2 ? -1 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : -1;
    if (more < 0 || i + more >= at + length) return false;
    for (let k = 1; k <= more; k++) if ((bytes[i + k] & 0xc0) !== 0x80) return false;
    i += more + 1;
  }
  return true;
}

/** Inodes of the file system itself, which no directory may name. */
function isHidden(ck: Checker, ino: number): boolean {
  if (quotaInodes(ck).includes(ino)) return true;
  return ck.sb.hasCompat(EXT4_FEATURE_COMPAT_ORPHAN_FILE) && ck.sb.u32(S_ORPHAN_FILE_INUM) === ino;
}

/** "." takes 12 bytes; what its record holds beyond becomes a free one. */
function splitRecord(view: DataView, at: number, length: number): void {
  setRecordLength(view, at, 12);
  view.setUint32(at + 12, 0, true);
  setRecordLength(view, at + 12, length - 12);
  view.setUint16(at + 18, 0, true);
}

/**
 * Makes the chain of records whole again from `at` on: the damaged part goes to the record before it, or becomes a free one, up to
 * the next place from which a chain of sane records leads to the end.
 */
function salvage(view: DataView, bytes: Uint8Array, previous: number, at: number, end: number, inodes: number): void {
  let next = end;
  for (let from = at + (previous >= 0 ? 4 : 12); from + 12 <= end; from += 4) {
    if (chainIsSane(view, bytes, from, end, inodes)) {
      next = from;
      break;
    }
  }
  if (previous >= 0) {
    setRecordLength(view, previous, next - previous);
    return;
  }
  view.setUint32(at, 0, true);
  setRecordLength(view, at, next - at);
  view.setUint16(at + 6, 0, true);
}

function chainIsSane(view: DataView, bytes: Uint8Array, from: number, end: number, inodes: number): boolean {
  let named = false;
  for (let at = from; at < end; ) {
    if (end - at < 12) return false;
    const length = recordLength(view, at);
    const ino = view.getUint32(at, true);
    if (length < 12 || (length & 3) !== 0 || at + length > end || ino > inodes) return false;
    if (entrySize(bytes[at + 6]) > length || bytes[at + 7] > 7) return false;
    if (ino !== 0) {
      if (bytes[at + 6] === 0) return false;
      named = true;
    }
    at += length;
  }
  return named;
}

/** An inode with odd fields, now that a directory leads to it. True: it was cleared, and the entry must go. */
function judgeOddInode(ck: Checker, ino: number): boolean {
  const inode = ck.readInode(ino);
  if (inode === undefined) return false;
  ck.inodesOdd.delete(ino);
  const type = fileTypeOf(inode.mode);
  const code = type === 0 ? "inode-mode" : type === FT_SYMLINK ? "inode-symlink" : "inode-device";
  const broken =
    type === 0 || (type === FT_SYMLINK ? !symlinkIsValid(ck, inode) : type > FT_DIR && !deviceIsValid(inode));
  if (broken) {
    if (!ck.problem(code, { inode: ino, value: inode.mode >> 12 })) return false;
    clearInode(ck, inode);
    return true;
  }
  if (clearOddFields(ck, inode)) ck.writeInode(inode);
  return false;
}

function clearOddFields(ck: Checker, inode: CoreInode): boolean {
  const { view } = inode;
  const hurd = ck.sb.u32(S_CREATOR_OS) === OS_HURD;
  let changed = false;
  const zero = (detail: string, wrong: boolean, clear: () => void): void => {
    if (!wrong || !ck.problem("inode-field", { inode: inode.ino, detail })) return;
    clear();
    changed = true;
  };
  zero("i_faddr", view.getUint32(I_FADDR, true) !== 0, () => view.setUint32(I_FADDR, 0, true));
  if (!hurd) {
    const high = !ck.hasHugeFile && view.getUint16(I_BLOCKS_HIGH, true) !== 0;
    zero("i_blocks_hi", high, () => view.setUint16(I_BLOCKS_HIGH, 0, true));
    const acl = !ck.sb.has64bit && view.getUint16(I_FILE_ACL_HIGH, true) !== 0;
    zero("i_file_acl_hi", acl, () => view.setUint16(I_FILE_ACL_HIGH, 0, true));
    const size = inode.isDirectory && !ck.hasLargeDir && view.getUint32(I_SIZE_HIGH, true) !== 0;
    zero("i_size_high", size, () => view.setUint32(I_SIZE_HIGH, 0, true));
  }
  const block = inode.fileAcl;
  const bad = block !== 0 && (!ck.hasXattrs || !ck.legal(block));
  if (bad && ck.problem("xattr-block-number", { inode: inode.ino, block })) {
    inode.fileAcl = 0;
    view.setUint16(I_FILE_ACL_HIGH, 0, true);
    ck.again = true;
    changed = true;
  }
  return changed;
}
