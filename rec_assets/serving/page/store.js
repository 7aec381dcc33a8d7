// The store: who looks, what the list is, and what a click becomes.

import { art } from "./art.js";
import { opening } from "./cards.js";
import { explain } from "./detail.js";
import { byId, count, element, several } from "./elements.js";
import * as list from "./list.js";
import * as panel from "./panel.js";
import { ask, listen, Refused, themed } from "./service.js";
import { categories, done, price, shape, titled } from "./words.js";

const LIST_LENGTH = 24, SEARCH_LENGTH = 8, HISTORY_LENGTH = 8, CHIPS = 9, USERS = 30;
const state = {
  user: "", requestId: null, now: null, nowRead: 0, turn: 0, only: null, chips: [], items: [],
  vocabulary: { domain: "any", repeats: false, kinds: [] }, acted: new Map(), cart: new Map(),
};

// The log's own time, which may run in another year than the clock on the wall: what happens here is stamped with it.
const logTime = () => (state.now ? state.now + performance.now() - state.nowRead : Date.now());

function say(words, wrong = false) {
  byId("said").textContent = words;
  byId("said").classList.toggle("wrong", wrong);
}

const guarded = (action) => async (...given) => {
  try {
    return await action(...given);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof TypeError)) throw error; // TypeError: the service is not there
    if (error instanceof TypeError) reportError(error);
    return say(error instanceof Refused ? error.message : "The service does not answer. Try again in a moment.", true);
  }
};

const context = () => ({
  vocabulary: state.vocabulary, now: logTime(), act: guarded(tell),
  explain: guarded((item) => explain(item, state.user, state.vocabulary.domain, open)),
  nothing: state.only ? `Nothing left in ${state.only}.` : "Nothing to show yet: the log holds no event with an item.",
});

async function showList(words) {
  const turn = ++state.turn;
  const wish = { user_id: state.user, k: LIST_LENGTH, ...(state.only && { filter: `${JSON.stringify(state.only)} in categories` }) };
  const told = await ask("recommend", wish);
  if (turn !== state.turn) return; // a newer list is on its way
  state.now = Date.parse(`${told.now}Z`);
  state.nowRead = performance.now();
  state.requestId = told.request_id;
  state.items = told.items;
  const fresh = list.show(told.items, context());
  say([words, words ? `${count(fresh)} new in the list` : several(told.items.length, "item")].filter(Boolean).join(" · "));
  panel.sources(told.items);
  drawChips(told.items);
  guarded(showHistory)();
}

async function showHistory() {
  const user = state.user;
  const known = await ask(`users/${encodeURIComponent(user)}?k=${HISTORY_LENGTH}`);
  if (user === state.user) panel.history(known.history, state.acted, state.vocabulary.domain, logTime());
}

const eventId = () => (crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random()}`); // no randomUUID without TLS

const eventOf = (event, item, value) => ({
  event_id: eventId(), user_id: state.user, item_id: item.item_id, event, occurred_at: new Date(logTime()).toISOString(),
  ...(value != null && { value }), ...(state.requestId && item.source && { request_id: state.requestId }),
  context: { page: "next-list", ...(item.place && { position: item.place }) },
});

/** What stands above a card that was chosen was seen and passed over, where the vocabulary has a word for that. */
function passedOver(event, place) {
  const told = state.vocabulary.kinds.some((one) => one.event === "skip") && event !== "hide";
  return told ? state.items.slice(0, Math.max(0, place - 1)).map((item, index) => eventOf("skip", { ...item, place: index + 1 })) : [];
}

/** What a click becomes: an event on the service's disk, then the next list. */
async function tell(event, item, value) {
  const started = performance.now();
  const made = document.querySelector(`.card[data-item="${CSS.escape(item.item_id)}"]`);
  made?.setAttribute("aria-busy", "true");
  try {
    const place = made ? Number(made.querySelector(".rank").textContent) : 0;
    await ask("feedback", [eventOf(event, { ...item, place }, value), ...passedOver(event, place)]);
  } finally {
    made?.removeAttribute("aria-busy");
  }
  state.acted.set(item.item_id, event);
  if (event === "cart") state.cart.set(item.item_id, item);
  panel.cart([...state.cart.values()]);
  await showList(`${done(event)} ${titled(item)[0]}`);
  panel.own(Math.round(performance.now() - started));
}

async function buy() {
  const items = [...state.cart.values()];
  const kind = state.vocabulary.kinds.some((one) => one.event === "purchase") ? "purchase" : "cart";
  await ask("feedback", items.map((item) => eventOf(kind, item, item.attributes.price)));
  for (const item of items) state.acted.set(item.item_id, kind);
  state.cart.clear();
  panel.cart([]);
  await showList(`You bought ${several(items.length, "thing")}`);
}

/** Open an item that is not a card: from the search, or from what goes with another. */
function open(item) {
  const kinds = new Set(state.vocabulary.kinds.map((one) => one.event));
  const kind = opening(shape(item, state.vocabulary.domain), kinds);
  return kind ? guarded(tell)(kind, item) : context().explain(item);
}

function drawChips(items) {
  if (!state.chips.length) {
    const counted = new Map();
    for (const name of items.flatMap((item) => item.categories || [])) counted.set(name, (counted.get(name) || 0) + 1);
    state.chips = [...counted].sort((a, b) => b[1] - a[1]).slice(0, CHIPS).map(([name]) => name);
  }
  const chip = (name, words) => element("button", { type: "button", textContent: words, ariaPressed: String(state.only === name),
    onclick: guarded(() => { state.only = name; list.clear(); return showList(); }) });
  const focused = [...byId("chips").children].indexOf(document.activeElement);
  byId("chips").replaceChildren(...(state.chips.length > 1 ? [chip(null, "All"), ...state.chips.map((name) => chip(name, name))] : []));
  byId("chips").children[focused]?.focus();
}

function become(user) {
  Object.assign(state, { user, only: null, chips: [], acted: new Map(), cart: new Map() });
  list.clear();
  panel.cart([]);
  history.replaceState(null, "", `#${encodeURIComponent(user)}`);
  const select = byId("user");
  if (![...select.options].some((option) => option.value === user)) select.prepend(new Option(user, user));
  select.value = user;
  return guarded(showList)();
}

const newVisitor = () => become(`visitor-${eventId().slice(-6)}`);

async function search() {
  const query = byId("query").value.trim();
  const items = query ? (await ask(`items?k=${SEARCH_LENGTH}&query=${encodeURIComponent(query)}`)).items : [];
  if (query !== byId("query").value.trim()) return;
  const found = byId("found");
  found.hidden = !query;
  found.replaceChildren(...items.map((item) => {
    const [name, year] = titled(item);
    const told = item.attributes || {};
    const about = [told.price != null && price(told.price, told.currency), told.publisher, ...categories(item)].filter(Boolean).join(" · ");
    return element("button", { type: "button", onclick: () => { closeSearch(); open(item); } },
      art(item, shape(item, state.vocabulary.domain)),
      element("span", {}, year ? `${name} (${year})` : name, element("small", { className: "soft", textContent: about })));
  }));
  if (query && !items.length) found.append(element("p", { className: "soft", textContent: `Nothing holds “${query}”.` }));
}

function closeSearch() {
  byId("query").value = "";
  byId("found").hidden = true;
}

function keys(event) {
  const options = [...byId("found").querySelectorAll("button")];
  const at = options.indexOf(document.activeElement);
  if (event.key === "Escape") { closeSearch(); byId("query").focus(); }
  if (event.key === "ArrowDown" && at + 1 < options.length) { event.preventDefault(); options[at + 1].focus(); }
  if (event.key === "ArrowUp" && at >= 0) { event.preventDefault(); (options[at - 1] || byId("query")).focus(); }
  if (event.key === "Enter" && at < 0 && options.length) options[0].click();
}

async function start() {
  themed();
  byId("fresh").onclick = newVisitor;
  byId("user").onchange = (event) => become(event.target.value);
  byId("query").oninput = guarded(search);
  document.querySelector(".search").onkeydown = keys;
  document.addEventListener("click", (event) => { if (!event.target.closest(".search")) byId("found").hidden = true; });
  byId("buy").onclick = guarded(buy);
  listen(panel.status, panel.live);
  const [vocabulary, { users }] = await Promise.all([ask("vocabulary"), ask(`users?k=${USERS}`)]);
  state.vocabulary = vocabulary;
  byId("user").append(...users.map((user) => new Option(`${user.user_id} (${several(user.events, "event")})`, user.user_id)));
  const asked = decodeURIComponent(location.hash.slice(1));
  await (asked ? become(asked) : users.length ? become(users[0].user_id) : newVisitor());
}
guarded(start)();
