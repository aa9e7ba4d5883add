// Search as one types, narrowed by speaker and language, and more like a passage.
import { $, api, clock, make } from "./page.js";
import { mayLeave, open } from "./reader.js";

const chosen = {};

/** Searches, or says in the place of the results why it cannot. */
export const search = () => find().catch((error) => results([], error.message));

async function find() {
  const text = $("query").value.trim();
  const mine = (search.turn = (search.turn || 0) + 1);
  if (!text) { $("results").hidden = true; return; }
  const found = await api(`/api/search?${new URLSearchParams({ q: text, ...chosen })}`);
  if (mine !== search.turn) return;
  results(found.hits, found.hits.length ? `${found.hits.length} ${found.hits.length === 1 ? "passage" : "passages"} for “${text}”` : `No passages for “${text}”. Nothing was said about that.`);
  $("facets").replaceChildren(make("p", "Narrow to · figures count all that was said", { className: "soft" }), ...["speaker", "language"].map((name) => {
    const values = found.facets[name] || [];
    // what was chosen stays, so that it can be let go also where nothing is found
    if (chosen[name] && !values.some(([value]) => value === chosen[name])) values.unshift([chosen[name], 0]);
    const group = make("div", "", { hidden: !values.length });
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Narrow by ${name}`);
    group.append(make("span", name === "speaker" ? "Speaker" : "Language"), ...values.map(([value, count]) => facet(name, value, count)));
    return group;
  }));
}

function facet(name, value, count) {
  const shown = `${value === "und" ? "unknown" : value} (${count})`;
  const button = make("button", shown, { type: "button", title: `${name}: ${value}` });
  button.setAttribute("aria-pressed", chosen[name] === value);
  button.onclick = async () => {
    if (chosen[name] === value) delete chosen[name]; else chosen[name] = value;
    await search();
    [...$("facets").querySelectorAll("button")].find((each) => each.title === button.title)?.focus();
  };
  return button;
}

function results(hits, summary) {
  $("results").hidden = false;
  $("found").textContent = summary;
  $("hits").replaceChildren(...hits.map((hit) => {
    const link = make("a", "", { href: `#${hit.transcript}` });
    const words = make("span", hit.text);
    if (hit.html) words.innerHTML = hit.html;
    link.append(words, document.createElement("br"), make("small", `${hit.title} · ${hit.speaker} · ${clock(hit.start)}`));
    link.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;  // a tab of its own
      event.preventDefault();
      if (!mayLeave()) return;
      history.pushState(null, "", `#${hit.transcript}`);
      open(hit.transcript, hit.start);
    };
    const more = make("button", "More like this", { type: "button", className: "more" });
    more.setAttribute("aria-label", `More like this: ${hit.text}`);
    more.onclick = () => like(hit);
    const line = make("li"); line.append(link, more); return line;
  }));
}

async function like(hit) {
  search.turn = (search.turn || 0) + 1;
  let found;
  try { found = await api(`/api/similar/${hit.id}`); } catch (error) { $("found").textContent = error.message; return; }
  $("facets").replaceChildren();
  results(found.hits, found.hits.length ? `Like “${hit.text}”` : `Nothing else is like “${hit.text}”.`);
  $("results").scrollIntoView({ block: "nearest" });
  $("hits").querySelector("a")?.focus();
}

addEventListener("edited", search);
