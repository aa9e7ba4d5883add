// The page: as you type, facets, keyboard. What it shows is in its address, so that it can be shared.

import { createSearchClient } from "../client.js";
import { el, say, shown } from "./dom.js";
import { card, toggle } from "./hits.js";

const PAUSE = 150;
const PAGE = 10;
const client = createSearchClient({ url: new URL("../", import.meta.url).href });
const at = (id) => document.getElementById(id);
const input = at("query"), hits = at("hits"), status = at("status"), more = at("more");
const state = { query: "", filters: {}, facets: [], results: null, shown: "", offset: 0, chosen: -1 };
let configured = false;
let running = null;
let timer = 0;

function read() {
  const params = new URLSearchParams(location.search);
  state.query = params.get("q") ?? "";
  state.filters = {};
  try {
    const found = JSON.parse(params.get("f") ?? "{}");
    if (found && typeof found === "object" && !Array.isArray(found)) state.filters = found;
  } catch {
    // a link that was cut off is one without filters
  }
  input.value = state.query;
}

/** What is asked of a name: values, or a condition such as {"$gte": 2020} that a link brought. */
function valuesOf(name) {
  return Object.hasOwn(state.filters, name) ? [state.filters[name]].flat() : [];
}

function write(replace) {
  const params = new URLSearchParams();
  if (state.query) params.set("q", state.query);
  if (Object.keys(state.filters).length) params.set("f", JSON.stringify(state.filters));
  const url = params.size ? `?${params}` : location.pathname;
  history[replace ? "replaceState" : "pushState"](null, "", url);
}

const asked = () => JSON.stringify([state.query, state.filters]);

async function run({ more: isMore = false } = {}) {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const append = isMore && asked() === state.shown; // else there is another first page to come
  const offset = append ? state.offset + PAGE : 0;
  if (!state.query.trim()) return welcome();
  const slow = setTimeout(() => signal.aborted || say(status, "searching…"), 300);
  try {
    if (!configured) await configure();
    const query = { query: state.query, limit: PAGE, offset, facets: append ? [] : state.facets };
    if (Object.keys(state.filters).length) query.filters = state.filters;
    const [found, ...others] = await Promise.all([client.search(query, { signal }), ...(append ? [] : alternatives(query, signal))]);
    Object.assign(found.facets, ...others);
    state.offset = offset;
    show(found, append);
  } catch (error) {
    if (!signal.aborted) failed(error); // else something newer is asked for, or shown
  } finally {
    clearTimeout(slow);
  }
}

/** What else one could choose of a name that is chosen from already: counted without its own filter. */
function alternatives(query, signal) {
  return state.facets
    .filter((name) => valuesOf(name).length)
    .map(async (name) => {
      const { [name]: _, ...filters } = state.filters;
      const { facets: found } = await client.search({ query: query.query, limit: 1, facets: [name], highlight: false, filters }, { signal });
      return found;
    });
}

function show(found, append) {
  [state.results, state.shown] = [found, asked()];
  const active = document.activeElement;
  const [wasAt, wasMore] = [active.closest(".hit")?.dataset.id, more.contains(active)];
  const before = hits.children.length;
  if (!append) hits.replaceChildren();
  hits.removeAttribute("data-old");
  const there = new Set([...hits.querySelectorAll(".hit:not([data-near])")].map((each) => each.dataset.id));
  hits.append(...found.filter((hit) => !there.has(hit.id)).map((hit) => card(hit, (made, button) => open(made, button, found.queryId))));
  if (!append) {
    state.chosen = -1;
    facets(found.facets);
  }
  const count = hits.querySelectorAll(".hit:not([data-near])").length;
  const words = found.total === 1 ? "1 result" : `${found.total} results`;
  if (found.degraded) say(status, `${words}, and there may be others: part of the search does not answer`, "warn");
  else say(status, count ? `${words} in ${(found.took * 1000).toFixed(found.took < 0.01 ? 1 : 0)} ms` : "");
  if (!count) hits.append(empty(`Nothing found for “${state.query}”.`, Object.keys(state.filters).length ? "Try without the filters." : "Try other words."));
  more.hidden = found.length < PAGE || count >= found.total;
  chips();
  if (!append && wasAt !== undefined) focusHit((each) => each.dataset.id === wasAt);
  if (append && wasMore && more.hidden) focusHit((_, number) => number === before);
}

/** Who used the keyboard goes on at this hit, else where one types. */
function focusHit(isIt) {
  const made = [...hits.children].find(isIt)?.querySelector("h2 button");
  (made ?? input).focus({ preventScroll: true });
}

function failed(error) {
  const words = error.status === 401 ? "You are signed out: sign in and reload this page." : error.status === 0 ? "The search cannot be reached. It is tried again when you type." : `The search failed: ${error.message}.`;
  say(status, words, "bad");
  hits.toggleAttribute("data-old", true);
  chips();
}

function empty(title, text) {
  return el("li", { class: "welcome" }, el("p", {}, title), el("p", {}, text));
}

function welcome() {
  state.results = null;
  hits.replaceChildren(el("li", { class: "welcome" }, el("p", {}, "Type what you are looking for: words or a question.")));
  at("facets").hidden = true;
  more.hidden = true;
  say(status, "");
  chips();
}

function open(made, button, queryId) {
  const first = !made.querySelector(".whole");
  void toggle(made, button, client, (hit) => visit(hit, made, queryId));
  if (first) client.recordClick(queryId, made.dataset.id).catch(() => {});
}

/** Open a neighbour: where it stands among the hits, else below the one that it is like. */
function visit(hit, like, queryId) {
  let made = [...hits.querySelectorAll(".hit")].find((each) => each.dataset.id === hit.id);
  if (!made) {
    made = card(hit, (near, button) => open(near, button, queryId));
    made.toggleAttribute("data-near", true);
    like.after(made);
  }
  const button = made.querySelector("h2 button");
  if (!made.querySelector(".whole")) open(made, button, queryId);
  button.focus({ preventScroll: true });
  made.scrollIntoView({ block: "start", behavior: "smooth" });
}

// -- facets ---------------------------------------------------------------------------------------

function facets(found) {
  const place = at("facets");
  const groups = state.facets.map((name) => group(name, found[name] ?? [])).filter(Boolean);
  const { id } = place.contains(document.activeElement) ? document.activeElement : {};
  place.replaceChildren(...groups);
  place.hidden = !groups.length;
  if (id) (at(id) ?? place.querySelector("input") ?? input).focus({ preventScroll: true });
}

function group(name, values) {
  const chosen = valuesOf(name);
  const missing = chosen.filter((value) => !values.some((each) => each.value === value)).map((value) => ({ value, count: 0 }));
  const all = [...values.slice(0, 12), ...values.slice(12).filter((each) => chosen.includes(each.value)), ...missing];
  if (!all.length) return null;
  return el("fieldset", {}, el("legend", {}, name), el("div", { class: "values" }, all.map(({ value, count }) => {
    const box = el("input", { type: "checkbox", "data-facet": name, id: `facet-${JSON.stringify([name, value])}` });
    box.checked = chosen.includes(value);
    box.addEventListener("change", () => narrow(name, value, box.checked));
    return el("label", {}, box, el("span", { title: shown(value), dir: "auto" }, shown(value)), el("small", {}, String(count)));
  })));
}

function narrow(name, value, wanted) {
  const others = valuesOf(name).filter((each) => each !== value);
  // values and conditions do not go together
  const chosen = wanted ? [...others.filter((each) => each === null || typeof each !== "object"), value] : others;
  if (chosen.length) state.filters[name] = chosen;
  else delete state.filters[name];
  write(false);
  chips(); // what was chosen can be taken back before it is answered
  void run();
}

function chips() {
  const made = Object.keys(state.filters).flatMap((name) =>
    valuesOf(name).map((value) => el("button", { type: "button", class: "chip", dir: "auto", "aria-label": `remove ${name} ${shown(value)}`, onclick: () => narrow(name, value, false) }, `${name}: ${shown(value)}`, " ×")),
  );
  const place = [...at("chips").children].indexOf(document.activeElement);
  at("chips").replaceChildren(...made);
  if (place >= 0) (made[place] ?? made.at(-1) ?? input).focus({ preventScroll: true });
  // what is taken back here, or by going back in the history, is not chosen there any more
  for (const box of at("facets").querySelectorAll("input")) {
    const [name, value] = JSON.parse(box.id.slice("facet-".length));
    box.checked = valuesOf(name).includes(value);
  }
}

// -- keyboard -------------------------------------------------------------------------------------

function move(step) {
  const cards = [...hits.querySelectorAll(".hit")];
  if (!cards.length) return;
  state.chosen = Math.max(-1, Math.min(cards.length - 1, state.chosen + step));
  for (const [number, made] of cards.entries()) made.toggleAttribute("data-chosen", number === state.chosen);
  if (state.chosen < 0) return void input.focus();
  const button = cards[state.chosen].querySelector("h2 button");
  button.focus({ preventScroll: true });
  cards[state.chosen].scrollIntoView({ block: "nearest", behavior: "smooth" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target === input;
  if (event.key === "/" && !typing) {
    event.preventDefault();
    input.focus();
    input.select();
  } else if (event.key === "Escape") {
    if (typing && input.value) changed((input.value = ""));
    else input.focus();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !event.target.closest("pre")) {
    event.preventDefault();
    move(event.key === "ArrowDown" ? 1 : -1);
  }
});

hits.addEventListener("focusin", (event) => {
  const made = event.target.closest(".hit");
  if (!made) return;
  const cards = [...hits.querySelectorAll(".hit")];
  state.chosen = cards.indexOf(made);
  for (const each of cards) each.toggleAttribute("data-chosen", each === made);
});

// -- input ----------------------------------------------------------------------------------------

function changed(text) {
  const fresh = !state.query;
  state.query = text;
  write(!fresh);
  clearTimeout(timer);
  timer = setTimeout(run, PAUSE);
}

input.addEventListener("input", () => changed(input.value));
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  void run();
});
more.querySelector("button").addEventListener("click", () => void run({ more: true }));
window.addEventListener("popstate", () => {
  read();
  chips();
  void run();
});

async function configure() {
  const config = await client.getConfig();
  state.facets = config.facets;
  document.title = config.title;
  at("title").firstElementChild.textContent = config.title;
  configured = true;
}

const typed = input.value; // before this script came
read();
if (typed && typed !== state.query) changed((input.value = typed));
try {
  await configure();
  await run();
} catch (error) {
  if (!running) failed(error); // else a search has asked for itself since
}
