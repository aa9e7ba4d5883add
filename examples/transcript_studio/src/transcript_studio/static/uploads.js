// Uploads are sent one after the other, and listed with their bars, newest first, in pages.
import { $, api, complain, make, pressed, problem } from "./page.js";
import { isOpen, open } from "./reader.js";

const MOST = 500 << 20;  // bytes, as the server has it
let sent = Promise.resolve(), sending = 0;

/** Sends files after those that are on their way. */
export function upload(files) {
  if (!sending) problem("");
  sending += files.length;
  for (const file of files) sent = sent.then(() => send(file));
  return sent;
}

/** Whether something would be lost if the page went away. */
export const isSending = () => sending > 0;

async function send(file) {
  // a large file takes its time, and its bar begins when it has arrived
  $("sending").textContent = `Sending ${file.name}${sending > 1 ? `, ${sending - 1} more to come` : ""} …`;
  $("sending").hidden = false;
  try {
    if (file.size > MOST) throw new Error(`a file may have ${MOST >> 20} MB`);
    card(await api("/api/transcripts", { method: "POST", body: file,
      headers: { "x-file-name": encodeURIComponent(file.name) } }));
  } catch (error) { complain(`${file.name}: ${error.message}`); }
  sending -= 1;
  if (!sending) $("sending").hidden = true;
}

/** Shows an upload below another one, by default above all, or its new title; returns its line. */
function card(entry, above) {
  const known = $(`t-${entry.id}`);
  if (known) { known.querySelector(".row a").textContent = entry.title; return known; }
  const item = make("li", "", { id: `t-${entry.id}` });
  const row = make("div", "", { className: "row" });
  row.append(make("a", entry.title, { href: `#${entry.id}` }), make("span", "Ready", { className: "state" }));
  const ready = (is) => { row.hidden = !is; if (is) $("archive").hidden = false; };
  ready(entry.ready);
  item.append(row);
  item.begin = () => {
    const box = bar(entry.id, entry.title, () => {
      // who waits for it; what is being read or edited already stays as it is
      if (location.hash === `#${entry.id}` && !isOpen(entry.id)) open(entry.id);
    }, entry.ready);
    box.addEventListener("progress", ({ detail }) => ready(detail.status === "completed"));
    item.append(box);
  };
  if (entry.ready) near.observe(item); else item.begin();
  if (above) above.after(item); else $("transcripts").prepend(item);
  $("empty").hidden = true;
  return item;
}

/** What is ready has a bar, too, for its last stages may fail; a thousand would all ask at once. */
const near = new IntersectionObserver((lines) => {
  for (const { isIntersecting, target } of lines) if (isIntersecting) { near.unobserve(target); target.begin(); }
}, { rootMargin: "400px" });

const AT_ONCE = 50, TO_COMPARE = 200;
let older;  // the cursor of what is not shown yet; null if that is nothing, undefined before the first look
const titles = new Map();  // those that were given here, and how many there were
let edits = 0;

async function page(limit, cursor) {
  const before = edits;
  const found = await api(`/api/transcripts?${new URLSearchParams({ limit, ...(cursor && { cursor }) })}`);
  for (const entry of found.items) {
    const { title, edit } = titles.get(entry.id) ?? {};
    if (edit > before) entry.title = title;  // the list was asked for before, and knows nothing of it
  }
  return found;
}

/** Shows what is new since, and new titles, down to the oldest that is shown: other windows upload and edit as well. */
export async function look() {
  if (older === undefined || !$("transcripts").childElementCount) { await lookBack(); return; }
  const oldest = older && $("transcripts").lastElementChild;  // where all is shown, all that comes is
  for (let line, cursor = ""; cursor !== null;) {
    const { items, nextCursor } = await page(TO_COMPARE, cursor);
    for (const entry of items) if ((line = card(entry, line)) === oldest) return;
    cursor = nextCursor;
  }
}

/** Shows the next ones below what is shown, in their order; returns the lines. */
async function lookBack() {
  const { items, nextCursor } = await page(AT_ONCE, older), lines = [];
  for (const entry of items) lines.push(card(entry, lines.at(-1) ?? (older && $("transcripts").lastElementChild)));
  older = nextCursor;
  $("older").hidden = !older;
  return lines;
}

$("older").onclick = async () => {
  try {
    const lines = await lookBack();
    $("shown").textContent = `${lines.length} older ${lines.length === 1 ? "one is" : "ones are"} shown.`;
    if (lines.length) { lines[0].tabIndex = -1; lines[0].focus({ preventScroll: true }); }  // go on there, where one has looked
  } catch (error) { $("shown").textContent = error.message; }
};

addEventListener("edited", ({ detail: { id, title } }) => {
  titles.set(id, { title, edit: (edits += 1) });
  const line = $(`t-${id}`);  // not there where only older ones are
  if (line) line.querySelector(".row a").textContent = title;
});

/** A live bar with cancel; with a button to try again once it has failed. */
function bar(id, label, ended, done = false) {
  const box = make("div");
  const tracker = make("progress-tracker", "", { hidden: done });
  for (const [name, value] of Object.entries({ operation: id, label, cancellable: "", patience: 10 })) tracker.setAttribute(name, value);
  const again = make("p", "", { className: "retry", hidden: true });
  const retry = make("button", "Try again", { type: "button" }), refused = make("span", "", { className: "bad" });
  refused.setAttribute("role", "alert");
  again.append(retry, " ", refused);
  retry.setAttribute("aria-label", `Try again: ${label}`);
  box.tabIndex = -1;
  pressed(retry, async () => {
    const hadFocus = document.activeElement === retry;
    refused.textContent = "";
    try {
      await api(`/api/jobs/${id}/retry`, { method: "POST" });
      again.hidden = true;  // at once: a second click would find it begun
      if (hadFocus && [retry, document.body].includes(document.activeElement)) box.focus({ preventScroll: true });
      tracker.refresh();
    } catch (error) { refused.textContent = error.message; }
  });
  tracker.addEventListener("progress", ({ detail }) => {
    again.hidden = !["failed", "cancelled"].includes(detail.status);
    tracker.hidden = detail.status === "completed";
    box.dataset.status = detail.status;
  });
  // progress is kept for some days: what became a transcript meanwhile stays, what did not can be tried again
  tracker.addEventListener("trouble", ({ detail }) => { if (detail.code === "not_found") again.hidden = done; });
  tracker.addEventListener("end", ({ detail }) => ended(detail));
  box.append(tracker, again);
  return box;
}

/** Shows the bar and then the link of a ZIP; resolves when it has ended. */
const archive = (id) => new Promise((over) => {
  const line = make("p", "", { className: "link", hidden: true });
  const renew = make("button", "Make a new link", { type: "button", className: "plain" });
  const link = async () => {
    line.hidden = false;
    try {
      const { url, expires_in, size } = await api(`/api/archives/${id}`);
      line.replaceChildren(make("a", "transcripts.zip", { href: url }), ` ${Math.ceil(size / 1024)} kB · this link works for ${expires_in / 60} minutes`);
      setTimeout(() => line.replaceChildren("The link has expired. ", renew), 1000 * expires_in);
    } catch (error) { line.replaceChildren(`${error.message} `, renew); }
  };
  renew.onclick = link;
  const box = bar(id, "All transcripts as ZIP", ({ status }) => {
    over();
    if (status === "completed") link();
  });
  box.addEventListener("trouble", over);
  box.append(line);
  $("archives").replaceChildren(box);
});

// until it has ended: two clicks are one wish
pressed($("archive"), async () => {
  try { await archive((await api("/api/archives", { method: "POST" })).id); } catch (error) { problem(error.message); }
});
