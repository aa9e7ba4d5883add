// Hits as cards: passages, metadata, the whole text and neighbours on demand.

import { highlightParts } from "../client.js";
import { el, shown } from "./dom.js";

const NAMES = ["title", "name", "subject"];

function titleOf(hit) {
  const name = NAMES.find((each) => typeof hit.metadata[each] === "string" && hit.metadata[each].trim());
  return name ? hit.metadata[name] : hit.id;
}

/** Make the card of a hit; `open` is called when its user wants all of it. */
export function card(hit, open) {
  const title = titleOf(hit);
  const button = el("button", { type: "button", "aria-expanded": "false", dir: "auto" }, title);
  const percent = Math.round(hit.score * 100);
  const bar = el("i");
  bar.style.width = `${percent}%`;
  const made = el(
    "li",
    { class: "hit", "data-id": hit.id },
    el("h2", {}, button, el("span", { class: "score", title: `score ${hit.score.toFixed(3)}`, role: "img", "aria-label": `score ${percent} of 100` }, bar)),
    el("div", { class: "passages" }, passages(hit)),
    tags(hit, title),
  );
  made.addEventListener("click", (event) => {
    if (!event.target.closest(".whole") && !window.getSelection()?.toString()) open(made, button);
  });
  return made;
}

function passages(hit) {
  const marked = hit.highlights ?? [];
  if (!marked.length) return [el("p", { class: "clamp", dir: "auto" }, hit.content.slice(0, 400))];
  return marked.map((passage) =>
    el("p", { dir: "auto" }, highlightParts(passage).map((part) => (part.match ? el("mark", {}, part.text) : part.text))),
  );
}

function tags(hit, title) {
  // a name that begins with _ is for programs
  const pairs = Object.entries(hit.metadata).filter(([name, value]) =>
    !name.startsWith("_") && value !== null && value !== title && shown(value).length <= 80);
  if (title !== hit.id) pairs.unshift(["id", hit.id]);
  if (!pairs.length) return null;
  return el("div", { class: "tags" }, pairs.slice(0, 8).map(([name, value]) => el("span", {}, `${name} `, el("b", { dir: "auto" }, shown(value)))));
}

/** Show or hide the whole document and its neighbours in a card. */
export async function toggle(made, button, client, choose) {
  const there = made.querySelector(".whole");
  if (there) {
    there.remove();
    button.setAttribute("aria-expanded", "false");
    return;
  }
  const text = el("pre", { tabindex: "0", dir: "auto" }, "…");
  const near = el("ul", {}, el("li", { class: "soft" }, "…"));
  made.append(el("div", { class: "whole" }, text, el("h3", {}, "More like this"), near));
  button.setAttribute("aria-expanded", "true");
  const id = made.dataset.id;
  const [document, similar] = await Promise.allSettled([client.get(id), client.findSimilar(id, 5)]);
  text.textContent = document.status === "fulfilled" ? document.value.content : document.reason.message;
  const hits = similar.status === "fulfilled" ? similar.value : [];
  near.replaceChildren(
    ...(hits.length
      ? hits.map((hit) => el("li", {}, el("button", { type: "button", dir: "auto", onclick: () => choose(hit) }, titleOf(hit)), el("span", { class: "soft" }, hit.score.toFixed(2))))
      : [el("li", { class: "soft" }, "nothing else")]),
  );
}
