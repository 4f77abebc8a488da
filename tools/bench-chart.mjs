/**
 * A bar chart of time ratios as SVG: one group per `chart`, a bar per figure, a whisker from the lowest to the highest round, on a
 * logarithmic axis around 1 (as fast as the reference). Readable on light and dark pages; no script, no fonts of its own.
 */
const ROW = 22;
const LABEL = 330;
const AXIS = 420;
const RIGHT = 90;
const [MIN, MAX] = [1 / 64, 8];
const COLOURS = { faster: "#2da44e", slower: "#bc4c00" };

/** @param {readonly {name: string, value: number, low?: number, high?: number, chart: string}[]} figures */
export function ratioChart(figures, { title, subtitle }) {
  const groups = new Map();
  for (const figure of figures) groups.set(figure.chart, [...(groups.get(figure.chart) ?? []), figure]);
  const x = (ratio) => {
    const at = Math.log(Math.min(MAX, Math.max(MIN, ratio)) / MIN) / Math.log(MAX / MIN);
    return (LABEL + at * AXIS).toFixed(1);
  };
  const body = [];
  let y = 64;
  for (const [chart, members] of groups) {
    y += 14;
    const geomean = Math.exp(members.reduce((sum, { value }) => sum + Math.log(value), 0) / members.length);
    body.push(`<text x="8" y="${y}" class="group">${xml(chart)}: geometric mean ${geomean.toFixed(2)}</text>`);
    y += 8;
    for (const { name, value, low = value, high = value } of members) {
      const middle = y + ROW / 2;
      const [from, to] = value < 1 ? [x(value), x(1)] : [x(1), x(value)];
      const colour = value <= 1 ? COLOURS.faster : COLOURS.slower;
      body.push(
        `<text x="${LABEL - 8}" y="${middle + 4}" text-anchor="end">${xml(shorten(name))}</text>`,
        `<rect x="${from}" y="${y + 4}" width="${Math.max(1, to - from).toFixed(1)}" height="${ROW - 8}" fill="${colour}"/>`,
        `<path d="M${x(low)} ${middle}H${x(high)}" class="whisker"/>`,
        `<text x="${LABEL + AXIS + 8}" y="${middle + 4}">${value.toPrecision(2)}</text>`,
      );
      y += ROW;
    }
    y += 10;
  }
  const ticks = [1 / 64, 1 / 16, 1 / 4, 1 / 2, 1, 2, 4, 8].map(
    (ratio) =>
      `<path d="M${x(ratio)} 56V${y}" class="${ratio === 1 ? "one" : "grid"}"/><text x="${x(ratio)}" y="52" text-anchor="middle">${ratio < 1 ? `1/${1 / ratio}` : ratio}</text>`,
  );
  const width = LABEL + AXIS + RIGHT;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 8}" width="${width}" height="${y + 8}" role="img" aria-label="${xml(title)}">
<style>text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-weight:600;font-size:15px}.group{font-weight:600}.grid{stroke:#8b949e;stroke-opacity:.25}.one{stroke:#57606a}.whisker{stroke:#57606a;stroke-width:1.5}@media(prefers-color-scheme:dark){text{fill:#adbac7}.one,.whisker{stroke:#adbac7}}</style>
<text x="8" y="20" class="title">${xml(title)}</text>
<text x="8" y="38">${xml(subtitle)}</text>
${ticks.join("\n")}
${body.join("\n")}
</svg>
`;
}

function shorten(name) {
  const text = name.replace(/, time ÷ .*$/, "");
  return text.length > 52 ? `${text.slice(0, 51)}…` : text;
}

function xml(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
