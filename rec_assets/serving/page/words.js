// What things are called: sources, kinds of events, titles, prices. What an item is follows from its attributes.

import { duration } from "./elements.js";

// Candidate sources in the words of who gets the list; the first match counts. One that is not here keeps its own name.
const SOURCES = [
  [/^pinned/, "Chosen by the shop", "Pinned"],
  [/^popul/, "Popular right now", "Popular"],
  [/neighb/, "From histories like yours", "Histories like yours"],
  [/^own|repeat/, "You come back to it", "Your own habits"],
  [/^next|transition/, "Often chosen right after what you chose", "What comes next"],
  [/knn|common/, "Who chose what you chose took this too", "Chosen together"],
  [/session/, "Goes with what you look at now", "This session"],
  [/content/, "Similar to what you chose", "Similar content"],
  [/encoder/, "Fits the order of your choices", "Sequence model"],
  [/^catalogue/, "New here, nobody had it yet", "Catalogue"],
];
const source = (name) => SOURCES.find(([pattern]) => pattern.test(name)) || [null, name.replaceAll("_", " "), name.replaceAll("_", " ")];
export const why = (name) => source(name)[1];
export const family = (name) => source(name)[2];

// What the ranker is told of an item, where no source's name says it.
const FEATURES = [
  [/^log_events/, "How much it is used"],
  [/^log_users/, "How many people had it"],
  [/^log_age/, "How new it is"],
  [/^log_gap/, "How lately somebody had it"],
  [/^repeat/, "Whether people come back to it"],
  [/^hour_lift/, "The time of day"],
  [/^day_lift/, "The day of the week"],
  [/^link/, "Leads on from what you chose last"],
  [/^users_/, "As well known as what you choose"],
  [/^age_/, "As new as what you choose"],
];
export const feature = (name) => (FEATURES.find(([pattern]) => pattern.test(name)) || [0, family(name)])[1];

export const SYSTEMS = { online: "Online (served)", frozen_weights: "Frozen weights", frozen: "All frozen", popularity: "Popularity" };

const DONE = {
  click: "You chose", view: "You looked at", read: "You read", like: "You like", share: "You shared", cart: "In your cart:",
  purchase: "You bought", hide: "You hid", return: "You sent back", rating: "You rated",
};
export const done = (event) => DONE[event] || `${event}:`;

const NEWS = ["publisher", "published", "published_at", "author", "read_minutes", "reading_minutes"];

/** "shop", "news" or "film": which card an item gets. */
export function shape(item, domain) {
  const told = item.attributes || {};
  if (told.price != null) return "shop";
  if (NEWS.some((name) => told[name] != null)) return "news";
  return { "e-commerce": "shop", news: "news", social: "news" }[domain] || "film";
}

/** [title, year]: "Film, The (1977)" is how catalogues sort, not how people read. */
export function titled(item) {
  const title = item.title || item.item_id;
  const told = item.attributes || {};
  const year = /^(.*\S)\s*\((\d{4})\)\s*$/.exec(title);
  const [name, when] = year ? [year[1], year[2]] : [title, told.year == null ? "" : String(told.year)];
  const article = /^(.*), (The|A|An)$/.exec(name);
  return [article ? `${article[2]} ${article[1]}` : name, when];
}

export const categories = (item) => (item.categories && item.categories.length ? item.categories : [item.attributes?.genres, item.attributes?.category].flat().filter(Boolean));

/** A price in the item's currency; a currency that nobody knows is written behind the number. */
export function price(value, currency = "EUR") {
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency }).format(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return `${value.toFixed(2)} ${currency}`;
  }
}

/** ["In stock", class] of an item, null where nothing is said. */
export function stock(told) {
  if (told.stock == null) return null;
  if (told.stock <= 0) return ["Out of stock", "out"];
  return told.stock <= 5 ? [`Only ${told.stock} left`, "low"] : ["In stock", ""];
}

/** "2 h old" at a moment (ms, the log's time); "" where the item does not say when it was published. */
export function age(told, now) {
  const published = told.published ?? told.published_at ?? told.date;
  const at = typeof published === "number" ? published * 1_000 : Date.parse(/T.*(Z|[+-]\d\d:?\d\d)$/.test(published) ? published : `${String(published).replace(" ", "T").replace(/^(\d{4}-\d\d-\d\d)$/, "$1T00:00")}Z`);
  return Number.isNaN(at) ? "" : `${duration((now - at) / 1e3)} ago`;
}

export const readTime = (told) => {
  const minutes = told.read_minutes ?? told.reading_minutes ?? (told.words ? Math.max(1, Math.round(told.words / 230)) : null);
  return minutes == null ? "" : `${minutes} min read`;
};
