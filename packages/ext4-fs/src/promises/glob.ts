/** Shell patterns over paths: `*` and `?` within a name, `[a-z]`, `{a,b}`, and `**` for any number of directories. */

/** One part of a pattern between slashes; "**" is the string itself. */
export type GlobPart = RegExp | "**";

/** @throws TypeError when the pattern cannot be understood. */
export function parseGlob(pattern: string): GlobPart[][] {
  return expandBraces(pattern).map((one) =>
    one
      .split("/")
      .filter((part) => part !== "" && part !== ".")
      .map((part) => (part === "**" ? "**" : partPattern(part))),
  );
}

/** Whether a path's parts match; `partly`: whether they could, with more below. */
export function matches(parts: readonly GlobPart[], names: readonly string[], partly: boolean): boolean {
  const match = (p: number, n: number): boolean => {
    if (p === parts.length) return n === names.length;
    if (n === names.length) return partly || parts.slice(p).every((part) => part === "**");
    const part = parts[p];
    if (part === "**") return match(p + 1, n) || (!names[n].startsWith(".") && match(p, n + 1));
    return part.test(names[n]) && match(p + 1, n + 1);
  };
  return match(0, 0);
}

function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf("{");
  if (open < 0) return [pattern];
  let depth = 0;
  const choices: string[] = [];
  let from = open + 1;
  for (let at = open; at < pattern.length; at++) {
    const letter = pattern[at];
    if (letter === "{") depth++;
    else if (letter === "}") depth--;
    if (depth === 0 || (depth === 1 && letter === ",")) {
      choices.push(pattern.slice(from, at));
      from = at + 1;
    }
    if (depth > 0) continue;
    const [head, tail] = [pattern.slice(0, open), pattern.slice(at + 1)];
    return choices.flatMap((choice) => expandBraces(head + choice + tail));
  }
  throw new TypeError(`"pattern" has a brace that is not closed: ${pattern}`);
}

function partPattern(part: string): RegExp {
  let source = /^[*?[]/.test(part) ? "(?!\\.)" : ""; // names that begin with a dot want to be named
  for (let at = 0; at < part.length; at++) {
    const letter = part[at];
    const close = letter === "[" ? part.indexOf("]", at + 2) : -1;
    if (letter === "*") source += "[^/]*";
    else if (letter === "?") source += "[^/]";
    else if (close > 0) {
      source += `[${part
        .slice(at + 1, close)
        .replace(/^!/, "^")
        .replaceAll("\\", "\\\\")}]`;
      at = close;
    } else source += letter.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  }
  return new RegExp(`^${source}$`, "u");
}
