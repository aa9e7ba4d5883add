// Elements out of data. Text goes in as text nodes only: what a document says is never read as HTML.

/** Make an element; `props` are attributes and `on…` listeners; null and false leave out. */
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

/** Set the text of a node, if it is another one: screen readers notice changes. */
export function say(node, text, state = null) {
  if (node.textContent !== text) node.textContent = text;
  if (state === null) node.removeAttribute("data-state");
  else node.setAttribute("data-state", state);
}

/** Say a value of metadata in words. */
export function shown(value) {
  if (Array.isArray(value)) return value.map(shown).join(", ");
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}
