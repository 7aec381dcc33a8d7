// Making elements, and writing numbers and times as people read them.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** An HTML element with properties and children; `data` and `style` take objects, what is null is left out. */
export function element(name, { data = {}, style = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  Object.assign(made.dataset, data);
  for (const [key, value] of Object.entries(style)) made.style.setProperty(key, value);
  made.append(...children.flat().filter((child) => child != null));
  return made;
}

/** An SVG element with attributes and children. */
export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value != null) made.setAttribute(key, value);
  made.append(...children.flat().filter((child) => child != null));
  return made;
}

const ICONS = {
  like: "M12 20s-7.5-4.6-7.5-10A4.2 4.2 0 0 1 12 7.3 4.2 4.2 0 0 1 19.5 10c0 5.4-7.5 10-7.5 10Z",
  hide: "M4 4l16 16M9.9 5.2A9.8 9.8 0 0 1 12 5c5.5 0 9 7 9 7a17 17 0 0 1-2.6 3.4M6.3 7.3A16 16 0 0 0 3 12s3.5 7 9 7a9 9 0 0 0 4-1M9.9 10a3 3 0 0 0 4.2 4.2",
  cart: "M3 4h2.5l2.3 11h9.7L20 8H6.5M9.5 19.5h.01M16.5 19.5h.01",
  purchase: "M6 8h12l1 12H5L6 8Zm3 0a3 3 0 0 1 6 0",
  share: "M12 15V4m0 0L8 8m4-4 4 4M5 13v6h14v-6",
  why: "M9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M12 16.8h.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  close: "M6 6l12 12M18 6 6 18",
  return: "M4 9h11a5 5 0 0 1 0 10H9M4 9l4-4M4 9l4 4",
};

export const icon = (name) => svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

const whole = new Intl.NumberFormat("en");
export const count = (number) => (number == null ? "–" : whole.format(Math.round(number)));
export const seconds = (number) => (number == null ? "–" : number < 10 ? `${number.toFixed(1)} s` : `${count(number)} s`);
export const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
export const several = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** A length of time in seconds, in the largest unit that fits. */
export function duration(given) {
  const passed = Math.max(0, given);
  for (const [size, unit] of [[31_557_600, "y"], [86_400, "d"], [3_600, "h"], [60, "min"]]) {
    if (passed >= 1.5 * size) return `${Math.round(passed / size)} ${unit}`;
  }
  return `${Math.round(passed)} s`;
}

/** How long ago a moment (µs since 1970) was. */
export const ago = (microseconds) => (microseconds ? `${duration(Date.now() / 1e3 - microseconds / 1e6)} ago` : "–");
