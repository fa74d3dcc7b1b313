"use strict";
// Draws a hop from /ledger (docs/ledger.md), asked once a second while somebody looks.

const PERIOD = 1000; // ms between questions
const PATIENCE = 5000; // ms until an answer is missing
const HISTORY = 60; // answers that the little curves show
const LINKS = 32; // more are in /ledger
const COUNTERS = ["received", "delivered", "dropped", "filtered", "rejected", "malformed", "failed", "in_flight"];
const LOSSES = ["dropped", "malformed", "failed"];
const POLICY = ["filtered", "rejected"]; // taken out on purpose

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
let before = null; // the answer before, and when it came
let paused = false;
let gone = false;

// An element with a class and what stands in it; text is never read as HTML.
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

// Writes what changed alone, so that nothing flickers under a reader or a selection.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function octets(n) {
  const units = ["octets", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; n >= 1024 && unit < units.length - 1; unit++) n /= 1024;
  return `${n.toLocaleString("en", { maximumFractionDigits: n < 10 && unit ? 1 : 0 })} ${units[unit]}`;
}

function duration(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => seconds >= size);
  const shown = parts.slice(first < 0 ? 3 : first).slice(0, 2);
  return shown.map(([size, unit], i) =>
    `${Math.floor((i ? seconds % shown[0][0] : seconds) / size)} ${unit}`).join(" ");
}

const sum = (list, field) => list.reduce((total, item) => total + item[field], 0);
const lossOf = (route) => LOSSES.reduce((total, field) => total + route[field], 0);
const rateText = (rate) => (rate === null ? "–" : `${short.format(rate)}/s`);

// Messages a second since the answer before; null where there is none to compare with.
function rateOf(now, i, field) {
  if (!before || now.at <= before.at) return null;
  const old = before.ledger.routes[i];
  return Math.max(0, (now.ledger.routes[i][field] - old[field]) / ((now.at - before.at) / 1000));
}

// --- the parts of the page ---------------------------------------------------------------------

function buildSum() {
  const cells = {};
  for (const [key, name] of [["received", "Received"], ["delivered", "Delivered"], ["in_flight", "In flight"],
    ["loss", "Not delivered"], ["lost", "Lost before this hop"]]) {
    cells[key] = make("dd", "");
    $("sum").append(make("div", "", make("dt", "", name), cells[key]));
  }
  return cells;
}

function drawSum(cells, now) {
  const { routes, lost } = now.ledger;
  for (const field of ["received", "delivered"]) {
    const rates = routes.map((_, i) => rateOf(now, i, field));
    say(cells[field], rateText(rates.includes(null) ? null : rates.reduce((a, b) => a + b, 0)));
  }
  const losses = { loss: sum(routes.map((r) => ({ n: lossOf(r) })), "n"), lost };
  say(cells.in_flight, whole.format(sum(routes, "in_flight")));
  for (const [key, n] of Object.entries(losses)) {
    say(cells[key], whole.format(n));
    cells[key].className = n ? "bad" : "";
  }
}

function buildSpark() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${HISTORY - 1} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(line);
  return { svg, line, rates: [] };
}

function drawSpark(spark, rate) {
  if (rate === null) return;
  spark.rates = [...spark.rates, rate].slice(-HISTORY);
  const top = Math.max(...spark.rates, 1);
  const first = HISTORY - spark.rates.length;
  spark.line.setAttribute("points", spark.rates.map((r, i) =>
    `${first + i},${(19 - 18 * r / top).toFixed(1)}`).join(" "));
}

function buildEnd(kind, name) {
  const rate = make("span", "kind");
  return { rate, box: make("div", "end", make("span", "kind", kind), make("span", "name", name), rate) };
}

function buildRoute(route) {
  const source = buildEnd("source", route.source);
  const sink = buildEnd(route.name ? `sink ${route.name}` : "sink", route.sink);
  const fill = make("div", "fill");
  const meter = make("div", "meter", fill);
  const ringText = make("span", "kind");
  const spark = buildSpark();
  const loss = make("p", "loss");
  meter.setAttribute("role", "meter");
  meter.setAttribute("aria-label", `ring from ${route.source} to ${route.sink}`);
  meter.setAttribute("aria-valuemin", "0");
  const arrow = () => {
    const element = make("div", "arrow");
    element.setAttribute("aria-hidden", "true");
    return element;
  };
  const item = make("li", "route card", source.box, arrow(),
    make("div", "", meter, ringText), arrow(), sink.box, loss);
  sink.box.append(spark.svg);
  $("routes").append(item);
  return { item, source, sink, fill, meter, ringText, spark, loss, cells: buildRow(route) };
}

function buildRow(route) {
  const name = make("th", "", `${route.source} → ${route.sink}${route.name ? ` (${route.name})` : ""}`);
  const cells = COUNTERS.map(() => make("td", ""));
  name.scope = "row";
  $("ledger").append(make("tr", "", name, ...cells));
  return cells;
}

function drawRing(parts, route) {
  const share = route.ring_capacity ? route.ring / route.ring_capacity : 0;
  const text = `ring: ${octets(route.ring)} of ${octets(route.ring_capacity)}`;
  parts.fill.style.width = `${100 * share}%`;
  parts.item.classList.toggle("high", share > 0.75);
  parts.meter.setAttribute("aria-valuemax", route.ring_capacity);
  parts.meter.setAttribute("aria-valuenow", route.ring);
  parts.meter.setAttribute("aria-valuetext", text);
  say(parts.ringText, `${text} (${Math.round(100 * share)} %)`);
}

function drawRoute(parts, now, i) {
  const route = now.ledger.routes[i];
  const delivered = rateOf(now, i, "delivered");
  say(parts.source.rate, `received ${rateText(rateOf(now, i, "received"))}`);
  say(parts.sink.rate, `delivered ${rateText(delivered)}`);
  drawRing(parts, route);
  drawSpark(parts.spark, delivered);
  const losses = LOSSES.filter((field) => route[field] > 0).map((field) => {
    const rate = rateOf(now, i, field);
    return `${field} ${whole.format(route[field])}${rate ? `, now ${rateText(rate)}` : ""}`;
  });
  const policy = POLICY.filter((field) => route[field] > 0).map((field) => `${field} ${whole.format(route[field])}`);
  say(parts.loss, [losses.length ? losses.join(" · ") : "nothing lost", ...policy].join(" · "));
  parts.loss.classList.toggle("bad", losses.length > 0);
  COUNTERS.forEach((field, k) => {
    say(parts.cells[k], whole.format(route[field]));
    parts.cells[k].className = LOSSES.includes(field) && route[field] ? "bad" : "";
  });
}

function step(name, lines, lost, where) {
  const loss = make("span", lost ? "bad" : "faint", `lost ${where} ${whole.format(lost)}`);
  return make("li", "", make("div", "step", make("strong", "", name), ...lines.map((l) => make("span", "", l)), loss));
}

function buildLink(link) {
  const marks = [link.finished && "ended", link.shared && "shared: gaps are not judged"].filter(Boolean);
  const title = make("h3", "", `${link.hop} on ${link.source}${marks.length ? ` (${marks.join("; ")})` : ""}`);
  const path = make("ol", "plain path");
  path.setAttribute("role", "list");
  for (const hop of link.path) {
    const losses = LOSSES.filter((field) => hop[field]).map((field) => `${field} ${whole.format(hop[field])}`);
    const item = step(hop.hop, [`received ${whole.format(hop.received)}`, `delivered ${whole.format(hop.delivered)}`,
      ...losses], hop.lost, "before it");
    path.append(item);
  }
  path.append(step("this hop", [`received ${whole.format(link.received)}`,
    ...(link.joined_at ? [`joined at ${whole.format(link.joined_at)}`] : []),
    ...(link.duplicates ? [`twice ${whole.format(link.duplicates)}`] : [])], link.lost, "on the link"));
  return make("article", "link card", title, path);
}

let drawnLinks = "";
function drawLinks(links) {
  const text = JSON.stringify(links);
  if (text === drawnLinks) return;
  drawnLinks = text;
  // those that still send come first, the newest of them before the others
  const shown = [...links].reverse().sort((a, b) => a.finished - b.finished).slice(0, LINKS);
  $("links").replaceChildren(...shown.map(buildLink));
  $("upstream").hidden = links.length === 0;
  $("more").hidden = links.length <= LINKS;
  say($("more"), `and ${links.length - shown.length} more, in the ledger as JSON`);
}

// --- asking and drawing ------------------------------------------------------------------------

const cells = buildSum();
for (const field of COUNTERS) {
  const title = make("th", "", (field[0].toUpperCase() + field.slice(1)).replace("_", " "));
  title.scope = "col";
  $("columns").append(title);
}
let parts = [];

// A hop that was started again is another one: nothing is compared with the one before.
function isSameHop(ledger) {
  const names = (l) => JSON.stringify([l.hop, l.routes.map((r) => [r.source, r.sink])]);
  return before !== null && ledger.seconds >= before.ledger.seconds && names(ledger) === names(before.ledger);
}

function draw(ledger) {
  const now = { ledger, at: performance.now() };
  if (!isSameHop(ledger)) {
    before = null;
    $("routes").replaceChildren();
    $("ledger").replaceChildren();
    parts = ledger.routes.map(buildRoute);
  }
  say($("hop"), ledger.hop);
  document.title = `${ledger.hop} – dnstap-bridge`;
  document.querySelector("main").hidden = false;
  drawSum(cells, now);
  parts.forEach((part, i) => drawRoute(part, now, i));
  drawLinks(ledger.upstream);
  before = now;
}

// The state is read aloud when it changes: what changes each second stands in no live region.
function drawState() {
  document.body.classList.toggle("gone", gone !== false);
  document.body.classList.toggle("paused", paused && gone === false);
  document.body.classList.toggle("running", !paused && gone === false && before !== null);
  if (gone !== false)
    say($("state"), `the hop does not answer since ${gone}${before ? "; below is what it said last" : ""}`);
  else
    say($("state"), paused ? "paused" : before ? `running since ${startOf(before.ledger)}` : "asking the hop");
}

let start = null;
function startOf(ledger) {
  const at = Date.now() - ledger.seconds * 1000;
  if (start === null || Math.abs(at - start) > 3000) start = at; // whole seconds: it would waver
  return `${new Date(start).toLocaleString()}`;
}

async function ask() {
  try {
    const answer = await fetch("/ledger", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`${answer.status}`);
    draw(await answer.json());
    gone = false;
  } catch (error) {
    if (gone === false) gone = new Date().toLocaleTimeString();
  }
  drawState();
}

// One question at a time; none while nobody can see the answer.
async function run() {
  if (!paused && !document.hidden) await ask();
  setTimeout(run, PERIOD);
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  drawState();
});
run();
