// What all parts of the page use. Text is set as text, never as markup.
export const $ = (id) => document.getElementById(id);
export const make = (tag, text, attributes = {}) => Object.assign(document.createElement(tag), { textContent: text ?? "", ...attributes });

/** Asks the studio; an error's message is for people, its `status` is that of the answer. */
export async function api(path, options) {
  let answer;
  try { answer = await fetch(path, options); } catch { throw new Error("The studio cannot be reached. Try again in a moment."); }
  const body = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
  if (!answer.ok) throw Object.assign(new Error(body.error || `The studio answered ${answer.status}. Try again.`), { status: answer.status });
  return body;
}

export function problem(text) {
  $("problem").textContent = text || "";
  $("problem").hidden = !text;
  if (text) $("problem").scrollIntoView({ block: "nearest" });
}

/** Says one problem more, below those that are said already. */
export const complain = (text) => problem([$("problem").textContent, text].filter(Boolean).join("\n"));

/** Calls `press`, whatever it is pressed meanwhile; a button that were disabled would lose the focus. */
export function pressed(button, press) {
  button.onclick = async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    try { await press(); } finally { button.ariaDisabled = "false"; }
  };
}

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
