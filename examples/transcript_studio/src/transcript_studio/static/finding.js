// Search as one types, narrowed by speaker and language, and more like a passage.
import { $, api, clock, make } from "./page.js";
import { mayLeave, open } from "./reader.js";

const chosen = {};
let turn = 0;

/** Asks, and shows the answer or why there is none; not if something else is looked for by then. */
async function ask(path, show, refused) {
  const mine = (turn += 1);
  let found;
  try { found = await api(path); } catch (error) { if (mine === turn) refused(error.message); return; }
  if (mine === turn) show(found);
}

/** Searches, or says in the place of the results why it cannot. */
export async function search() {
  const text = $("query").value.trim();
  if (text) {
    await ask(`/api/search?${new URLSearchParams({ q: text, ...chosen })}`, (found) => shown(text, found), (why) => results([], why));
  } else {
    turn += 1;
    $("results").hidden = true;
  }
}

function shown(text, found) {
  results(found.hits, summary(text, found));
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

function summary(text, { hits, more }) {
  if (hits.length) return `${more ? "The best " : ""}${hits.length} ${hits.length === 1 ? "passage" : "passages"} for “${text}”`;
  const narrowed = Object.keys(chosen).length > 0;  // elsewhere something may have been said
  return `No passages for “${text}”${narrowed ? " in what you narrowed to. Press it again to search everything." : ". Nothing was said about that."}`;
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

const like = (hit) => ask(`/api/similar/${hit.id}`, (found) => {
  $("facets").replaceChildren();
  results(found.hits, found.hits.length ? `Like “${hit.text}”` : `Nothing else is like “${hit.text}”.`);
  $("results").scrollIntoView({ block: "nearest" });
  $("hits").querySelector("a")?.focus();
}, (why) => { $("found").textContent = why; });

addEventListener("edited", search);
