/**
 * Glob patterns of the filter operator `~` and of event names: `*`, `?`, `[a-z]`, `[!x]`, `[^x]`, `\c`.
 *
 * Matching goes back to the last `*` only, so the cost is bounded by pattern length × text length.
 * Source: Linux lib/glob.c describes the language.
 */

/** Does all of `text` match `pattern`? */
export function globMatch(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let starPattern = -1;
  let starText = 0;
  for (;;) {
    if (p < pattern.length && pattern[p] === "*") {
      starPattern = ++p;
      starText = t;
      continue;
    }
    if (t >= text.length) {
      if (p >= pattern.length) return true;
    } else if (p < pattern.length) {
      const next = matchOne(pattern, p, text.charCodeAt(t));
      if (next > 0) {
        p = next;
        t++;
        continue;
      }
    }
    // Mismatch: let the last star take one character more.
    if (starPattern < 0 || starText >= text.length) return false;
    p = starPattern;
    t = ++starText;
  }
}

/** Matches one pattern element at `p`: the index behind it, or −1. */
function matchOne(pattern: string, p: number, code: number): number {
  const c = pattern[p]!;
  if (c === "?") return p + 1;
  if (c === "[") {
    const end = classEnd(pattern, p);
    if (end > 0) return matchClass(pattern, p + 1, end, code) ? end + 1 : -1;
  }
  if (c === "\\" && p + 1 < pattern.length) return pattern.charCodeAt(p + 1) === code ? p + 2 : -1;
  return pattern.charCodeAt(p) === code ? p + 1 : -1;
}

/** Index of the `]` that ends the class at `p`, or −1: then `[` is an ordinary character. */
function classEnd(pattern: string, p: number): number {
  let at = p + 1;
  if (pattern[at] === "!" || pattern[at] === "^") at++;
  return pattern.indexOf("]", at + 1); // a `]` right at the start is a member
}

function matchClass(pattern: string, start: number, end: number, code: number): boolean {
  let at = start;
  const inverted = pattern[at] === "!" || pattern[at] === "^";
  if (inverted) at++;
  let found = false;
  while (at < end) {
    const low = pattern.charCodeAt(at);
    if (pattern[at + 1] === "-" && at + 2 < end) {
      if (code >= low && code <= pattern.charCodeAt(at + 2)) found = true;
      at += 3;
    } else {
      if (code === low) found = true;
      at++;
    }
  }
  return found !== inverted;
}
