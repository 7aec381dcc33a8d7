// A picture for what has none: drawn from the title, the same each time, loaded from nowhere.

import { svg } from "./elements.js";

const hash = (text) => {
  let value = 2166136261;
  for (const letter of text) value = Math.imul(value ^ letter.codePointAt(0), 16777619) >>> 0;
  return value;
};

/** Numbers in [0, 1) that follow from a text (mulberry32). */
function numbers(text) {
  let state = hash(text);
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const colour = (hue, saturation, lightness) => `hsl(${Math.round(hue) % 360} ${saturation}% ${lightness}%)`;

function hills(next, hue) {
  const night = next() < 0.5, sky = night ? colour(hue + 210, 42, 20) : colour(hue + 20, 62, 76);
  const parts = [svg("rect", { width: 120, height: 120, fill: sky })];
  parts.push(svg("circle", { cx: 25 + 70 * next(), cy: 42 + 14 * next(), r: 9 + 8 * next(), fill: night ? colour(hue + 40, 70, 82) : colour(hue, 85, 62) }));
  for (let layer = 0; layer < 4; layer++) {
    let path = "M0 120";
    for (let x = 0; x <= 120; x += 20) path += ` L${x} ${58 + 15 * layer + 22 * (next() - 0.5) * (1 - layer / 6)}`;
    parts.push(svg("path", { d: `${path} L120 120Z`, fill: colour(hue + 12 * layer, 42, night ? 34 - 7 * layer : 58 - 11 * layer), "stroke-linejoin": "round" }));
  }
  return parts;
}

function orbits(next, hue) {
  const parts = [svg("rect", { width: 120, height: 120, fill: colour(hue, 48, 22) })];
  const x = 30 + 60 * next(), y = 40 + 50 * next();
  for (let ring = 6; ring > 0; ring--) parts.push(svg("circle", { cx: x, cy: y, r: ring * 13, fill: colour(hue + ring * 14, 52, 62 - ring * 6) }));
  parts.push(svg("circle", { cx: x + 40 * (next() - 0.5), cy: y - 30 * next(), r: 5 + 6 * next(), fill: colour(hue + 60, 85, 78) }));
  return parts;
}

function tiles(next, hue) {
  const shades = [colour(hue, 50, 30), colour(hue + 25, 58, 52), colour(hue + 190, 46, 62), colour(hue + 45, 72, 78), colour(hue, 30, 90)];
  const any = () => shades[Math.floor(next() * shades.length)];
  const parts = [];
  for (let x = 0; x < 120; x += 40) for (let y = 0; y < 120; y += 40) {
    parts.push(svg("rect", { x, y, width: 40.5, height: 40.5, fill: any() }));
    const [cx, cy] = [x + 40 * Math.round(next()), y + 40 * Math.round(next())];
    const form = next();
    if (form < 0.6) parts.push(svg("path", { d: `M${cx} ${cy} L${cx === x ? x + 40 : x} ${cy} A40 40 0 0 ${(cx === x) === (cy === y) ? 1 : 0} ${cx} ${cy === y ? y + 40 : y}Z`, fill: any() }));
    else if (form < 0.85) parts.push(svg("circle", { cx: x + 20, cy: y + 20, r: 14, fill: any() }));
  }
  return parts;
}

function rays(next, hue) {
  const parts = [svg("rect", { width: 120, height: 120, fill: colour(hue, 58, 46) })];
  const x = 60 + 40 * (next() - 0.5), turn = next();
  for (let ray = 0; ray < 12; ray++) {
    const [a, b] = [(ray + turn) * 0.5236, (ray + turn + 0.5) * 0.5236];
    parts.push(svg("path", { d: `M${x} 84 L${x + 170 * Math.cos(a)} ${84 + 170 * Math.sin(a)} L${x + 170 * Math.cos(b)} ${84 + 170 * Math.sin(b)}Z`, fill: colour(hue + 22, 66, 60) }));
  }
  parts.push(svg("circle", { cx: x, cy: 84, r: 22 + 8 * next(), fill: colour(hue - 30, 46, 26) }), svg("rect", { y: 84, width: 120, height: 40, fill: colour(hue - 30, 46, 19) }));
  return parts;
}

// Things of a shop, as silhouettes: [the words that mean one, body, detail]. The last is for what no word tells.
const THINGS = [
  [/bag|tote|purse|backpack|rucksack|pannier|sleeve|basket/, "M40 50h40l6 46H34Z", "M48 50v-6a12 12 0 0 1 24 0v6"],
  [/bottle|oil|wine|juice|milk|water|shampoo|soap|sauce|beverage|drink|beer|spirits|perfume|lotion/, "M50 26h20v12l8 12v44a4 4 0 0 1-4 4H46a4 4 0 0 1-4-4V50l8-12Z", "M42 62h36v18H42Z"],
  [/mug|cup|coffee|tea|kettle|pot|bowl|soup|kitchen/, "M36 44h42v38a12 12 0 0 1-12 12H48a12 12 0 0 1-12-12Z", "M78 52h6a10 10 0 0 1 0 22h-6"],
  [/lamp|light|pendant|candle|lantern/, "M60 24l24 34H36Z M57 58h6v30h-6Z M44 88h32v6H44Z", "M46 58h28"],
  [/clock|watch|timer|plate|record|turntable|ball|wheel/, "M60 30a33 33 0 1 1 0 66 33 33 0 0 1 0-66Z", "M60 44v19l13 9"],
  [/headphone|audio|speaker|radio|music/, "M34 56a26 26 0 0 1 52 0v28h-14V64a12 12 0 0 0-24 0v20H34Z", "M34 66h14M72 66h14"],
  [/book|paper|planner|letter|card|magazine|board|stationery|pencil|office/, "M36 34h48v60H36Z", "M46 50h28M46 62h28M46 74h16"],
  [/shirt|dress|jacket|coat|sweater|cloth|apparel/, "M48 32 30 44l8 16 6-4v38h32V56l6 4 8-16-18-12a12 12 0 0 1-24 0Z", "M60 60v20"],
  [/shoe|boot|sneaker|sandal/, "M32 84V56l16 2 18 16 20 4v12H32Z", "M50 66l8-4M58 73l7-5"],
  [/./, "M60 26 90 42v36L60 94 30 78V42Z", "M30 42l30 16 30-16M60 58v36"],
];

function thing(next, hue, words) {
  const [, body, detail] = THINGS.find(([meant]) => meant.test(words));
  return [
    svg("rect", { width: 120, height: 120, fill: colour(hue, 48, 89) }),
    svg("circle", { cx: 60, cy: 62, r: 46, fill: colour(hue + 18, 56, 81) }),
    svg("ellipse", { cx: 60, cy: 99, rx: 32, ry: 5, fill: colour(hue, 34, 66) }),
    svg("path", { d: body, fill: colour(hue + 170 + 60 * next(), 44, 44), "stroke-linejoin": "round" }),
    svg("path", { d: detail, fill: "none", stroke: colour(hue + 180, 50, 93), "stroke-width": 4.5, "stroke-linecap": "round", "stroke-linejoin": "round" }),
  ];
}

const STYLES = { film: [hills, orbits, rays, tiles], news: [tiles, hills, orbits], shop: [thing] };

/** The picture of an item of a shape; items of one category share a hue. */
export function art(item, shape) {
  const category = (item.categories || [])[0] || item.item_id;
  const next = numbers(`${item.title || ""} ${item.item_id}`);
  const hue = (hash(category) * 137.508 + 34 * (next() - 0.5) + 360) % 360;
  const drawn = STYLES[shape][Math.floor(next() * STYLES[shape].length)];
  const words = `${item.title || ""} ${(item.categories || []).join(" ")} thing`.toLowerCase();
  return svg("svg", { class: "art", viewBox: "0 0 120 120", preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" }, drawn(next, hue, words));
}
