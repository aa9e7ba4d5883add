"use strict";
// Live progress and notifications come by server-sent events; the browser reconnects by itself and
// says with Last-Event-ID what it has seen. Text is set as text, never as markup; the one exception
// are highlights, which the server has escaped.
const $ = (id) => document.getElementById(id);
const make = (tag, text, attributes = {}) => Object.assign(document.createElement(tag), { textContent: text ?? "", ...attributes });
const chosen = {};
const streams = new Map();

async function api(path, options) {
  const answer = await fetch(path, options);
  const body = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(body.error || `The studio answered ${answer.status}. Try again.`);
  return body;
}

function problem(text) { $("problem").textContent = text || ""; $("problem").hidden = !text; }

function toast(text) {
  $("toast").textContent = text; $("toast").hidden = false;
  clearTimeout(toast.timer); toast.timer = setTimeout(() => { $("toast").hidden = true; }, 5000);
}

async function upload(files) {
  problem("");
  for (const file of files) {
    try {
      const made = await api("/api/transcripts", { method: "POST", body: file,
        headers: { "x-file-name": encodeURIComponent(file.name) } });
      card(made, true);
    } catch (error) { problem(`${file.name}: ${error.message}`); }
  }
}

function card(entry, first) {
  if ($(`t-${entry.id}`)) return;
  const item = make("li", "", { id: `t-${entry.id}` });
  const row = make("div", "", { className: "row" });
  const bar = make("progress", "", { max: 100, value: 0 });
  bar.setAttribute("aria-label", `Progress of ${entry.title}`);
  const state = make("span", "waiting", { className: "state" });
  const cancel = make("button", "cancel", { className: "plain", type: "button" });
  cancel.onclick = () => api(`/progress/${entry.id}/cancel`, { method: "POST" }).catch((error) => problem(error.message));
  row.append(make("a", entry.title, { href: `#${entry.id}` }), state);
  item.append(row, bar);
  $("transcripts")[first ? "prepend" : "append"](item);
  $("empty").hidden = true;
  follow(entry.id, (now) => {
    bar.value = now.progress; state.className = `state ${now.status}`;
    const ended = ["completed", "failed", "cancelled"].includes(now.status);
    const eta = now.eta ? ` · ${Math.ceil(now.eta)} s left` : "";
    state.textContent = ended ? now.status : `${Math.round(now.progress)} % ${now.stage || ""}${eta} `;
    if (!ended) state.append(cancel);
    bar.hidden = now.status === "completed"; $("archive").hidden = false;
    if (now.error) item.title = now.error.message;
    if (ended && location.hash === `#${entry.id}`) open(entry.id);
    return ended;
  });
}

function follow(id, show) {
  if (streams.has(id)) return;
  const stream = new EventSource(`/progress/${id}/events`);
  const seen = (event) => { if (show(JSON.parse(event.data))) { stream.close(); streams.delete(id); } };
  stream.onmessage = seen; stream.addEventListener("progress", seen);
  streams.set(id, stream);
}

async function open(id, start) {
  if (!/^[0-9a-f]{32}$/.test(id)) return;
  try {
    const found = await api(`/api/transcripts/${id}`);
    $("reader-title").textContent = found.title;
    $("downloads").replaceChildren(...["pdf", "docx", "srt", "vtt", "csv", "txt", "json", "md"].map((kind) =>
      make("a", kind, { href: `/api/transcripts/${id}/export/${kind}` })));
    $("segments").replaceChildren(...found.segments.map((part) => {
      const line = make("li");
      const text = make("div", part.text);
      if (part.speaker) text.prepend(make("b", part.speaker));
      line.append(make("time", clock(part.start)), text);
      if (start !== undefined && Math.abs(part.start - start) < 0.01) line.className = "here";
      return line;
    }));
    $("reader").hidden = false;
    const here = $("segments").querySelector(".here");
    (here || $("reader")).scrollIntoView({ block: here ? "center" : "start" });
  } catch { $("reader").hidden = true; }
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

async function search() {
  const text = $("query").value.trim();
  const mine = (search.turn = (search.turn || 0) + 1);
  if (!text) { $("results").hidden = true; return; }
  const found = await api(`/api/search?${new URLSearchParams({ q: text, ...chosen })}`);
  if (mine !== search.turn) return;
  $("results").hidden = false;
  $("facets").replaceChildren(...["speaker", "language"].flatMap((name) => (found.facets[name] || []).map(([value, count]) => {
    const button = make("button", `${value} (${count})`, { type: "button" });
    button.setAttribute("aria-pressed", chosen[name] === value);
    button.onclick = () => { chosen[name] === value ? delete chosen[name] : (chosen[name] = value); search(); };
    return button;
  })));
  $("hits").replaceChildren(...(found.hits.length ? found.hits : [null]).map((hit) => {
    if (!hit) return make("li", "Nothing was said about that.");
    const link = make("a", "", { href: `#${hit.transcript}` });
    const words = make("span", hit.text);
    if (hit.html) words.innerHTML = hit.html;
    link.append(words, document.createElement("br"), make("small", `${hit.title} · ${hit.speaker} · ${clock(hit.start)}`));
    link.onclick = (event) => { event.preventDefault(); history.pushState(null, "", `#${hit.transcript}`); open(hit.transcript, hit.start); };
    const line = make("li"); line.append(link); return line;
  }));
}

async function inbox() {
  const page = await api("/inbox/notifications?limit=20");
  $("inbox").replaceChildren(...(page.items.length ? page.items : [null]).map((note) => note
    ? make("li", `${note.title} – ${note.message}`, { className: note.read ? "" : "new" }) : make("li", "No notifications.")));
  $("unread").textContent = page.unread; $("unread").hidden = !page.unread;
}

function listen() {
  const stream = new EventSource("/inbox/events");
  const heard = (event) => {
    const { kind, notification } = JSON.parse(event.data);
    if (kind === "created" && notification) toast(`${notification.title}: ${notification.message}`);
    inbox();
  };
  stream.addEventListener("notification", heard);
}

addEventListener("DOMContentLoaded", async () => {
  $("file").onchange = () => { upload([...$("file").files]); $("file").value = ""; };
  const zone = $("drop");
  for (const kind of ["dragover", "dragleave", "drop"]) zone.addEventListener(kind, (event) => {
    event.preventDefault(); zone.classList.toggle("over", kind === "dragover");
    if (kind === "drop") upload([...event.dataTransfer.files]);
  });
  $("search").onsubmit = (event) => { event.preventDefault(); search(); };
  $("query").oninput = () => { clearTimeout(search.timer); search.timer = setTimeout(() => search().catch(() => {}), 150); };
  $("read-all").onclick = () => api("/inbox/notifications/read-all", { method: "POST" }).then(inbox);
  addEventListener("hashchange", () => open(location.hash.slice(1)));
  for (const entry of await api("/api/transcripts")) card(entry);
  await inbox(); listen();
  if (location.hash) open(location.hash.slice(1));
});
