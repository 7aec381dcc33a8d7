// The operators' page: is the promise kept, what happens, what went wrong.

import { barChart, cut, lineChart, meter, proof } from "./charts.js";
import { ago, byId, count, duration, element, percent, seconds, several, svg } from "./elements.js";
import { by, parse, quantile, sum } from "./measures.js";
import { ask, listen, Refused, text, themed } from "./service.js";
import { verdict } from "./verdict.js";

const LOOK_SECONDS = 2, KEPT = 60, ROWS = 8; // looks kept for the small curves; rows of a table
const SILENT_SECONDS = 10; // after which a worker without heartbeat has died
const state = { status: null, live: null, looks: [] };

const none = (words) => element("p", { className: "none", textContent: words });
const show = (id, ...children) => byId(id).replaceChildren(...children.flat().filter(Boolean));
const mark = (kind, words) => element("span", { className: `state ${kind}`, textContent: words });
const time = (microseconds) => element("time", { dateTime: new Date(microseconds / 1e3).toISOString(), title: new Date(microseconds / 1e3).toLocaleString(), textContent: ago(microseconds) });

/** A table of rows of cells; `names` that end with # are columns of numbers. */
function table(label, names, rows) {
  const number = names.map((name) => (name.endsWith("#") ? "number" : ""));
  return element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: label }, element("table", {},
    element("thead", {}, element("tr", {}, names.map((name, i) => element("th", { scope: "col", className: number[i], textContent: name.replace("#", "") })))),
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map((cell, i) => element("td", { className: number[i] }, cell ?? "–")))))));
}

function spark(values) {
  const most = Math.max(...values, 1e-9);
  const path = values.map((value, i) => `${i ? "L" : "M"}${((i / Math.max(1, values.length - 1)) * 100).toFixed(1)} ${(22 - 20 * (value / most)).toFixed(1)}`);
  return svg("svg", { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("path", { d: path.join("") }));
}

const tile = (figure, words, curve) => element("div", { className: "tile" }, element("span", { className: "soft", textContent: words }), element("b", { textContent: figure }), curve && curve.length > 1 ? spark(curve) : null);

function drawTiles(status, loop) {
  const rates = state.looks.filter((look) => look.events != null);
  const last = rates.at(-1);
  const total = (loop.events || 0) + (loop.rejected || 0);
  show("tiles",
    tile(last ? count(last.events) : "–", "records a second into the log", rates.map((look) => look.events)),
    tile(last ? count(last.requests) : "–", "requests a second", rates.map((look) => look.requests)),
    tile(last && last.p99 != null ? `${(1e3 * last.p99).toFixed(0)} ms` : "–", "p99 of a list", rates.map((look) => look.p99 || 0)),
    tile(count(status.behind), "events not yet learnt", rates.map((look) => look.behind)),
    tile(count(loop.events), "events accepted"),
    tile(total ? percent((loop.rejected || 0) / total) : "–", "of all records rejected"));
}

function drawProof(loop) {
  const curve = loop.recent?.curve;
  const drawn = proof(loop.metrics || {}, curve, { width: 720, height: 230 });
  show("proof", drawn || none("No data yet: shown once a micro-batch was tested before it was learnt from."));
  byId("proof-note").textContent = drawn ? `hit@20; in the legend over all ${count(loop.metrics.online?.n)} scored events, each ranked before it was learnt from.` : "";
}

function drawFreshness(loop, promise) {
  const measured = loop.freshness?.weights;
  if (!measured) return show("freshness", none("No data yet: an event must be received, learnt from and served first."));
  const rows = ["p50", "p95", "p99"].map((name) => {
    const [value, limit] = [measured[`${name}_s`], promise[`${name}_seconds`]];
    return element("div", {}, element("div", { className: "words" }, element("span", { textContent: name }), element("span", { textContent: `${seconds(value)} of ${limit} s` })),
      meter(value / limit, `${name} ${seconds(value)}, promised ${limit} s`));
  });
  const served = (loop.recent?.batches || []).filter((batch) => batch.served_p95_s != null);
  const line = { name: "p95", x: served.map((batch) => batch.end), y: cut(served.map((batch) => batch.served_p95_s)) };
  return show("freshness", element("div", { className: "promise" }, rows),
    served.length > 1 ? lineChart([line], { width: 380, height: 170, label: "95th percentile per micro-batch, in seconds", format: (v) => `${+v.toFixed(1)} s`, limit: promise.p95_seconds, xLabel: "offset " }) : null,
    served.length > 1 ? element("p", { className: "soft", textContent: "p95 of each micro-batch; dashed: the promise." }) : null);
}

const STATES = { promoted: "promoted", stored: "not settled yet", refused: "refused by the gate", skipped: "passed over" };

function drawBatches(loop) {
  const batches = loop.recent?.batches || [];
  if (!batches.length) return show("batches", none("No data yet: the first micro-batch waits for the first events."));
  const bars = batches.map((batch) => ({ value: batch.events + batch.rejected, kind: batch.state,
    words: `offsets ${count(batch.start)} to ${count(batch.end)}: ${several(batch.events, "event")}, ${count(batch.rejected)} rejected, ${STATES[batch.state]}${batch.reason ? `: ${batch.reason}` : ""}` }));
  const counted = Object.keys(STATES).map((name) => [name, batches.filter((batch) => batch.state === name).length]).filter(([, n]) => n);
  return show("batches",
    barChart(bars, { width: 720, height: 130, label: `Records in each of the newest ${several(batches.length, "micro-batch").replace("batchs", "batches")}: ${counted.map(([name, n]) => `${n} ${STATES[name]}`).join(", ")}` }),
    element("ul", { className: "legend across" }, counted.map(([name, n]) => element("li", { className: name }, element("i"), `${STATES[name]}: ${count(n)}`))));
}

function drawPromotions(loop, status) {
  const batches = (loop.recent?.batches || []).filter((batch) => batch.state !== "stored").slice(-ROWS).reverse();
  if (!batches.length) return show("promotions", none(status.checkpoint ? "Nothing was promoted by the loop: what is served was there before." : "No data yet: nothing has been promoted, lists are made by popularity."));
  return show("promotions", table("Promotions and rollbacks", ["when", "what", "checkpoint", "events#", "why"], batches.map((batch) => {
    const back = batch.state === "skipped" && /^rolled back/.test(batch.reason || "");
    return [time(batch.promoted_at || batch.stored_at), mark({ promoted: "good", refused: "warn", skipped: "bad" }[batch.state], back ? "rolled back" : batch.state), batch.checkpoint, count(batch.events), batch.reason || "the gate let it pass"];
  })));
}

function drawRejections(loop) {
  const rows = loop.recent?.rejections || [];
  if (!rows.length) return show("rejections", none(loop.events ? "Nothing was rejected lately." : "No data yet."));
  return show("rejections", table("What was rejected most", ["rule", "field", "records#", "the newest of them"], rows.map((row) => [row.rule, row.field || "the record", count(row.n), `${row.value ? `${row.value}: ` : ""}${row.reason}`])));
}

function drawSources(loop) {
  const rows = loop.recent?.sources || [];
  if (!rows.length) return show("sources", none("No data yet: no source has brought an event."));
  return show("sources", table("Sources", ["source", "events#", "last", "lag"], rows.map((row) => [row.name, count(row.n), time(row.received_at), row.lag_s < 1 ? "none" : duration(row.lag_s)])),
    element("p", { className: "soft", textContent: "Lag: the median from when something happened to when it was received. A replayed stream has the lag of its age." }));
}

function drawWorkers(status) {
  const rows = status.workers || [];
  if (!rows.length) return show("workers", none("No worker has sent a heartbeat yet."));
  return show("workers", table("Workers", ["worker", "state", "serves"], rows.map((row) => {
    const silent = Date.now() / 1e3 - row.seen_at / 1e6 > SILENT_SECONDS;
    const old = row.checkpoint !== status.checkpoint;
    return [row.worker, silent ? mark("bad", `silent for ${duration(Date.now() / 1e3 - row.seen_at / 1e6)}`) : old ? mark("warn", "takes up another") : mark("good", "serving"), row.checkpoint || "popularity"];
  })));
}

function drawDrift(loop) {
  const rows = (loop.drift || []).slice(-ROWS).reverse();
  show("drift", rows.length ? table("Drift alarms", ["offsets", "what changed"], rows.map(([start, end, what]) => [`${count(start)} to ${count(end)}`, what]))
    : none(loop.micro_batches ? "No alarm: the stream is like it was." : "No data yet."));
}

function drawRequests(samples) {
  const routes = new Map();
  for (const { labels, value } of samples.get("rec_requests_total") || []) {
    const row = routes.get(labels.route) || { all: 0, refused: 0, failed: 0 };
    row.all += value;
    if (labels.status[0] === "4") row.refused += value;
    if (labels.status[0] === "5") row.failed += value;
    routes.set(labels.route, row);
  }
  const rows = [...routes].sort((a, b) => b[1].all - a[1].all).slice(0, ROWS);
  if (!rows.length) return show("requests", none("No request yet."));
  const waiting = [...by(samples, "rec_queue", "thread")].map(([thread, n]) => `${count(n)} for ${thread}`).join(", ");
  return show("requests", table("Requests by route", ["route", "all#", "4xx#", "5xx#"], rows.map(([route, row]) => [route, count(row.all), count(row.refused), count(row.failed)])),
    element("p", { className: "soft", textContent: [waiting && `Waiting: ${waiting}.`, `${count(sum(samples, "rec_checkpoint_swaps_total"))} swaps, ${count(sum(samples, "rec_checkpoint_failures_total"))} failed.`, `${count(sum(samples, "rec_lists_dropped_total"))} lists lost.`].filter(Boolean).join(" ") }));
}

function drawVerdict() {
  const { kind, icon, title, words } = verdict(state.status, state.live, Date.now());
  if (byId("verdict-title").textContent === title && byId("verdict-words").textContent === words) return; // or it is read out again
  byId("verdict").className = kind;
  byId("verdict-icon").setAttribute("d", icon);
  byId("verdict-title").textContent = title;
  byId("verdict-words").textContent = words;
}

function draw(status) {
  state.status = status;
  const loop = status.pipeline || {};
  drawVerdict();
  drawTiles(status, loop);
  drawProof(loop);
  drawFreshness(loop, status.promise);
  drawBatches(loop);
  drawPromotions(loop, status);
  drawRejections(loop);
  drawSources(loop);
  drawWorkers(status);
  drawDrift(loop);
}

function live(stands) {
  state.live = stands;
  byId("pulse").className = stands ? "pulse live" : "pulse down";
  byId("pulse-text").textContent = stands ? "Live" : "No answer, trying again";
  drawVerdict();
}

/** Look at the counters, and at what ticks in the status without being news. */
async function look() {
  const [samples, status] = [parse(await text("metrics")), await ask("status")];
  const [at, before] = [performance.now() / 1e3, state.looks.at(-1)];
  const one = { at, samples, offset: status.offset, behind: status.behind, all: sum(samples, "rec_requests_total") };
  if (before) {
    one.events = Math.max(0, one.offset - before.offset) / (at - before.at);
    one.requests = Math.max(0, one.all - before.all) / (at - before.at);
    one.p99 = quantile(samples, state.looks.at(-6)?.samples || state.looks[0].samples, "rec_list_seconds", 0.99);
  }
  state.looks = [...state.looks, one].slice(-KEPT);
  drawRequests(samples);
  draw(status);
}

async function looks() {
  for (;;) {
    try {
      if (!document.hidden) await look();
    } catch (error) {
      if (!(error instanceof Refused || error instanceof TypeError)) throw error; // TypeError: the service is not there
      state.looks = [];
    }
    drawVerdict();
    await new Promise((done) => setTimeout(done, 1e3 * LOOK_SECONDS));
  }
}

themed();
listen(draw, live);
looks();
