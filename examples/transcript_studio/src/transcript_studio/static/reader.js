// A transcript: read, and edited by hand.
import { $, api, clock, make, problem } from "./page.js";

let shown, turn = 0;

/** Whether a transcript is what is being read or edited. */
export const isOpen = (id) => !$("reader").hidden && shown === id;

/** Whether something is written that is not saved. */
export const isChanged = () => !$("editor").hidden && [...$("editor").elements].some((each) => "defaultValue" in each && each.value !== each.defaultValue);

/** Asks whether what is written and not saved may go; true if nothing is. */
export const mayLeave = () => !isChanged() || confirm("Discard what you have changed and not saved?");

export async function open(id, start) {
  if (!/^[0-9a-f]{32}$/.test(id)) return;
  const mine = (turn += 1);
  try {
    const found = await api(`/api/transcripts/${id}`);
    if (mine !== turn) return;
    show(id, found, start);
    problem("");
    const here = $("segments").querySelector(".here");
    (here || $("reader")).scrollIntoView({ block: here ? "center" : "start" });
  } catch (error) {
    if (mine !== turn) return;
    close();
    problem(error.status === 404 ? "This transcript is not there: it is not ready yet, or has failed." : error.message);
    $(`t-${id}`)?.scrollIntoView({ block: "nearest" });
  }
}

function close() {
  editing(false);
  $("reader").hidden = true;
}

/** Opens what the address names, or nothing; stays where something was written. */
export function follow() {
  const id = location.hash.slice(1);
  if (isOpen(id)) return;
  if (!mayLeave()) { history.pushState(null, "", `#${shown}`); return; }
  turn += 1;
  if (id) open(id); else close();
}

function show(id, found, start) {
  shown = id;
  $("reader-title").textContent = found.title;
  $("downloads").replaceChildren(...["pdf", "docx", "srt", "vtt", "xlsx", "csv", "txt", "json", "md", "html"].map((kind) =>
    make("a", kind, { href: `/api/transcripts/${id}/export/${kind}` })));
  $("segments").replaceChildren(...found.segments.map((part) => {
    const line = make("li");
    const text = make("div", part.text);
    if (part.speaker) text.prepend(make("b", part.speaker));
    line.append(make("time", clock(part.start)), text);
    if (start !== undefined && Math.abs(part.start - start) < 0.01) line.className = "here";
    return line;
  }));
  $("edit").onclick = () => edit(id, found);
  editing(false);
  $("reader").hidden = false;
}

const narrow = matchMedia("(max-width: 34rem)");
/** Toasts come where they cover nothing that is being worked on; the bell counts everywhere. */
export const calm = () => $("bell").toggleAttribute("toast", !narrow.matches && $("editor").hidden);
narrow.addEventListener("change", calm);

function editing(is) {
  $("editor").hidden = !is; $("segments").hidden = $("downloads").hidden = $("edit").hidden = is;
  $("edit-problem").hidden = true;
  calm();
}

/** Edits a transcript as it is now; `kept` is what was written to an older state of it. */
function edit(id, found, kept = { texts: {}, speakers: {} }) {
  const field = (label, value, tag) => {
    const input = make(tag, "", { value, defaultValue: value, required: true });
    input.setAttribute("aria-label", label);
    return input;
  };
  const names = [...new Set(found.segments.map((part) => part.speaker))];
  const speakers = names.map((name) => field(`Name of ${name || "unknown speakers"}`, name, "input"));
  for (const each of speakers) Object.assign(each, { maxLength: 80, required: each.value !== "", placeholder: "Unknown" });
  $("edit-speakers").replaceChildren($("edit-speakers").firstElementChild, ...speakers);
  const texts = found.segments.map((part, index) => field(`Segment ${index + 1}, ${part.speaker || "unknown speaker"}`, part.text, "textarea"));
  $("edit-segments").replaceChildren(...texts.map((text, index) => {
    text.rows = Math.min(6, 1 + Math.floor(text.value.length / 60));
    text.maxLength = 5000;
    const line = make("li");
    line.append(make("time", clock(found.segments[index].start)), text);
    return line;
  }));
  Object.assign($("edit-title"), { value: found.title, defaultValue: found.title });
  if (kept.title !== undefined) $("edit-title").value = kept.title;
  for (const [index, text] of Object.entries(kept.texts)) if (texts[index]) texts[index].value = text;
  for (const [name, now] of Object.entries(kept.speakers)) if (names.includes(name)) speakers[names.indexOf(name)].value = now;
  let isSaving = false;
  $("edit-cancel").onclick = () => { if (isSaving) return; show(id, found); $("edit").focus(); };
  $("editor").onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("editor").requestSubmit();
    // what was written is not thrown away by one key
    else if (event.key === "Escape") { if (isChanged()) $("edit-cancel").focus(); else $("edit-cancel").click(); }
  };
  const pairs = (fields, keys) => Object.fromEntries(fields.flatMap((each, index) =>
    each.value === each.defaultValue ? [] : [[keys[index], each.value]]));
  const changes = () => ({
    ...($("edit-title").value !== found.title && { title: $("edit-title").value }),
    texts: pairs(texts, texts.map((_, index) => index)), speakers: pairs(speakers, names),
  });
  /** What were written or discarded now would be neither saved nor kept. */
  const saving = (is) => {
    isSaving = is;
    for (const each of $("editor").elements) if (each.type === "submit" || each.type === "button") each.ariaDisabled = is; else each.readOnly = is;
  };
  saving(false);
  $("editor").onsubmit = async (event) => {
    event.preventDefault();
    if (isSaving) return;  // the second click of two
    saving(true);
    try { await save(id, found.revision, changes()); } catch (error) { refused(error.message); }
    saving(false);
  };
  editing(true);
  $("edit-title").focus();
}

async function save(id, revision, change) {
  const mine = turn;  // who has gone on to another transcript meanwhile stays there
  let now;
  try {
    now = await api(`/api/transcripts/${id}`, { method: "PATCH", body: JSON.stringify({ revision, ...change }) });
  } catch (error) {
    if (error.status !== 409) throw error;
    now = await api(`/api/transcripts/${id}`);
    if (mine !== turn) return;
    edit(id, now, change);
    if (isChanged()) {
      refused("Somebody has changed this transcript meanwhile. It is shown as it is now, with what you have written; look through it, then save again.");
      return;
    }  // else all that was written stands there: it was saved before, and the answer was lost
  }
  if (mine === turn) { show(id, now); $("edit").focus(); }
  dispatchEvent(new CustomEvent("edited", { detail: { id, title: now.title } }));
}

function refused(text) {
  $("edit-problem").textContent = text;
  $("edit-problem").hidden = false;
}
