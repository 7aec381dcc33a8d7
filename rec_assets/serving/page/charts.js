// Pictures of numbers, as inline SVG: lines, bars, shares. Every picture says in words what it shows.

import { count, element, percent, svg } from "./elements.js";
import { SYSTEMS } from "./words.js";

const nice = (value) => {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value);
};

/** Values as a chart shows them: one that is ten times the usual, as a first training is, is cut off there. */
export function cut(values) {
  const most = 10 * [...values].sort((a, b) => a - b)[values.length >> 1];
  return values.map((value) => (most > 0 ? Math.min(value, most) : value));
}

/** Lines over one x. `lines`: {name, x, y} with a class of the same name; `limit`: a dashed level, `marks`: x of what happened. */
export function lineChart(lines, { width = 640, height = 220, label, format = (v) => v.toFixed(2), xLabel = "", limit = null, marks = [], fromZero = true } = {}) {
  const [left, right, top, bottom] = [44, 8, 8, 24];
  const all = lines.flatMap((line) => line.y.filter((y) => y != null));
  const xs = lines.flatMap((line) => line.x);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const ticks = 4;
  const step = nice((Math.max(...all, limit ?? 0) - (fromZero ? 0 : Math.min(...all))) / ticks || 1);
  const y0 = fromZero ? 0 : Math.floor(Math.min(...all) / step) * step;
  const y1 = Math.max(y0 + step, Math.ceil((Math.max(...all, limit ?? 0) - 1e-12) / step) * step);
  const px = (x) => left + ((x - x0) / (x1 - x0 || 1)) * (width - left - right);
  const py = (y) => height - bottom - ((y - y0) / (y1 - y0 || 1)) * (height - top - bottom);
  const drawn = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (let y = y0; y <= y1 + step / 2; y += step) {
    drawn.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: py(y), y2: py(y) }));
    const text = svg("text", { x: left - 7, y: py(y) + 4, "text-anchor": "end" });
    text.textContent = format(y);
    drawn.append(text);
  }
  for (const [x, anchor] of [[x0, "start"], [x1, "end"]]) {
    const text = svg("text", { x: px(x), y: height - 6, "text-anchor": anchor });
    text.textContent = `${xLabel}${count(x)}`;
    drawn.append(text);
  }
  for (const { x, kind, words } of marks.filter((mark) => mark.x >= x0 && mark.x <= x1)) {
    drawn.append(svg("line", { class: `mark-line ${kind}`, x1: px(x), x2: px(x), y1: top, y2: height - bottom }, titleOf(words)));
  }
  if (limit != null) drawn.append(svg("line", { class: "limit", x1: left, x2: width - right, y1: py(limit), y2: py(limit) }));
  for (const line of lines) {
    const path = line.x.map((x, i) => [x, line.y[i]]).filter(([, y]) => y != null).map(([x, y], i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`);
    drawn.append(svg("path", { class: `line ${line.name}`, d: path.join("") }));
  }
  return drawn;
}

const titleOf = (words) => {
  const title = svg("title");
  title.textContent = words;
  return title;
};

/** Bars side by side. `bars`: {value, kind, words}; the words are shown when the mouse rests on one. */
export function barChart(bars, { width = 640, height = 160, label }) {
  const tops = cut(bars.map((bar) => bar.value));
  const most = Math.max(1, ...tops);
  const room = width / Math.max(bars.length, 20);
  const drawn = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  bars.forEach((bar, index) => {
    const tall = Math.max(3, (tops[index] / most) * (height - 4));
    const x = width - (bars.length - index) * room;
    drawn.append(svg("rect", { class: `bar-of ${bar.kind}`, x: x + room * 0.1, y: height - tall, width: room * 0.8, height: tall, rx: Math.min(3, room / 4) }, titleOf(bar.words)));
  });
  return drawn;
}

/** A share of a whole that may be passed, as a bar: green within, red beyond. */
export function meter(share, words) {
  const bar = element("i", { style: { width: `${Math.min(100, 100 * share).toFixed(1)}%` } });
  return element("div", { className: share > 1 ? "meter over" : "meter", role: "img", ariaLabel: words }, bar);
}

/** Parts of a whole: one bar and its legend. `parts`: [words, number], the largest first. */
export function shares(parts) {
  const total = parts.reduce((sum, [, number]) => sum + number, 0) || 1;
  return [
    element("div", { className: "stack", ariaHidden: "true" }, parts.map(([, number], i) => element("i", { className: `p${i % 8}`, style: { "flex-grow": number } }))),
    element("ul", { className: "legend" }, parts.map(([words, number], i) =>
      element("li", { className: `p${i % 8}` }, element("i"), words, element("b", { textContent: percent(number / total) })))),
  ];
}

/** Online beside what stopped learning: the curve, if there are points enough, and the means of all that was scored. */
export function proof(metrics, curve, size) {
  const named = Object.keys(SYSTEMS).filter((system) => metrics[system] && metrics[system].hit20 != null);
  if (!named.length) return null;
  const points = curve && curve.offsets.length > 1;
  const lines = points ? named.filter((system) => curve.hit20[system]).map((name) => ({ name, x: curve.offsets, y: curve.hit20[name] })).reverse() : [];
  const frozen = metrics.frozen && metrics.frozen.hit20;
  const label = `hit@20 per system: ${named.map((system) => `${SYSTEMS[system]} ${metrics[system].hit20.toFixed(3)}`).join(", ")}`;
  return [
    points ? lineChart(lines, { ...size, label, xLabel: "offset " }) : null,
    element("ul", { className: "legend" }, named.map((system) => {
      const value = metrics[system].hit20;
      const times = frozen && system !== "frozen" ? ` (×${(value / frozen).toFixed(2)})` : "";
      return element("li", { className: system }, element("i"), SYSTEMS[system], element("b", { textContent: value.toFixed(3) + times }));
    })),
  ];
}
