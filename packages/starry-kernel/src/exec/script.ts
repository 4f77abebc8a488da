/**
 * "#!" lines: which interpreter, with which argument (Linux fs/binfmt_script.c).
 */

/** Bytes of the file that are looked at (BINPRM_BUF_SIZE). */
export const HEAD_BYTES = 256;

export interface ScriptLine {
  readonly interpreter: Uint8Array;
  /** The rest of the line as one argument, or null. */
  readonly argument: Uint8Array | null;
}

const NEWLINE = 10;
const SPACE = 32;
const TAB = 9;

export function isScript(head: Uint8Array): boolean {
  return head[0] === 0x23 && head[1] === 0x21;
}

/** undefined: the line names no interpreter, or does not fit. */
export function parseScript(head: Uint8Array): ScriptLine | undefined {
  let end = head.indexOf(NEWLINE);
  const cut = end < 0;
  if (cut) end = head.length;
  const blank = (i: number): boolean => head[i] === SPACE || head[i] === TAB;
  while (end > 2 && (blank(end - 1) || head[end - 1] === 0)) end--;
  let at = 2;
  while (at < end && blank(at)) at++;
  if (at >= end) return undefined;
  let nameEnd = at;
  while (nameEnd < end && !blank(nameEnd) && head[nameEnd] !== 0) nameEnd++;
  // A name that fills the buffer may have been cut off.
  if (cut && nameEnd >= HEAD_BYTES) return undefined;
  let arg = nameEnd;
  while (arg < end && blank(arg)) arg++;
  return { interpreter: head.slice(at, nameEnd), argument: arg < end ? head.slice(arg, end) : null };
}
