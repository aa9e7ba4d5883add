// Elements out of data. Text goes in as text nodes only: what a job says is never read as HTML.

/** Make an element; `props` are attributes, `on…` listeners and `class`; null and false leave out. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return node;
}

/** Set the text of a node, if it is another one: selections and screen readers notice changes. */
export function say(node, text) {
  const value = String(text);
  if (node.textContent !== value) node.textContent = value;
}

/** Set or remove an attribute, if it is another one. */
export function mark(node, name, value) {
  if (value === null || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Let `parent` hold one child per item, in their order; children of the same key are kept. */
export function keyed(parent, items, key, make, update) {
  const known = (parent.kept ??= new Map());
  const wanted = new Map();
  for (const item of items) {
    const name = key(item);
    wanted.set(name, known.get(name) ?? make(item));
    update?.(wanted.get(name), item);
  }
  const active = document.activeElement;
  const place = [...parent.children].findIndex((each) => each.contains(active));
  for (const [name, node] of known) if (wanted.get(name) !== node) node.remove();
  let at = parent.firstElementChild;
  for (const node of wanted.values()) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
  parent.kept = wanted;
  if (place >= 0 && !parent.contains(active)) refocus(parent, place, active.textContent);
}

/** Who used the keyboard goes on at what stands there now, best at what has the same `label`; else at the page. */
function refocus(parent, place, label) {
  const now = parent.children[place] ?? parent.lastElementChild;
  const found = now?.matches("a, button") ? [now] : [...(now?.querySelectorAll("a, button") ?? [])];
  (found.find((each) => each.textContent === label) ?? found[0] ?? parent.closest("[tabindex]"))?.focus();
}

/** Make a button that is busy until its work ends; a disabled one would lose the focus. */
export function button(label, work, kind = "") {
  const made = el("button", { type: "button", class: kind }, label);
  made.addEventListener("click", async () => {
    if (made.ariaDisabled) return;
    made.ariaDisabled = "true";
    try {
      await work();
    } finally {
      made.ariaDisabled = null;
    }
  });
  return made;
}

/** A status with its colour; the word says it too. */
export function badge(status) {
  return el("span", { class: "badge", "data-status": status }, status);
}

export function setBadge(node, status) {
  mark(node, "data-status", status);
  say(node, status);
}
