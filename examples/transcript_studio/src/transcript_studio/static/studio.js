// Live progress and notifications are the elements of progress-tracker and notify, which connect,
// reconnect and catch up by themselves. Text is set as text, never as markup; the one exception are
// highlights, which the server has escaped.
const $ = (id) => document.getElementById(id);
const make = (tag, text, attributes = {}) => Object.assign(document.createElement(tag), { textContent: text ?? "", ...attributes });
const chosen = {};

async function api(path, options) {
  let answer;
  try { answer = await fetch(path, options); } catch { throw new Error("The studio cannot be reached. Try again in a moment."); }
  const body = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(body.error || `The studio answered ${answer.status}. Try again.`);
  return body;
}

const MOST = 500 << 20;  // bytes, as the server has it
function problem(text) { $("problem").textContent = text || ""; $("problem").hidden = !text; }
/** Says one problem more, below those that are said already. */
const complain = (text) => problem([$("problem").textContent, text].filter(Boolean).join("\n"));

async function upload(files) {
  problem("");
  for (const [index, file] of files.entries()) {
    if (file.size > MOST) { complain(`${file.name}: a file may have ${MOST >> 20} MB`); continue; }
    // a large file takes its time, and its bar begins when it has arrived
    $("sending").textContent = `Sending ${file.name}${files.length > 1 ? ` (${index + 1} of ${files.length})` : ""} …`;
    $("sending").hidden = false;
    try {
      const made = await api("/api/transcripts", { method: "POST", body: file,
        headers: { "x-file-name": encodeURIComponent(file.name) } });
      card(made, true);
    } catch (error) { complain(`${file.name}: ${error.message}`); }
  }
  $("sending").hidden = true;
}

function card(entry, first) {
  const known = document.querySelector(`#t-${entry.id} .row a`);
  if (known) { known.textContent = entry.title; return; }
  const item = make("li", "", { id: `t-${entry.id}` });
  const row = make("div", "", { className: "row" });
  row.append(make("a", entry.title, { href: `#${entry.id}` }), make("span", "Ready", { className: "state" }));
  const ready = (is) => { row.hidden = !is; if (is) $("archive").hidden = false; };
  ready(entry.ready);
  const box = bar(entry.id, entry.title, () => {
    if (location.hash === `#${entry.id}`) open(entry.id);
  }, entry.ready);
  box.addEventListener("progress", ({ detail }) => ready(detail.status === "completed"));
  item.append(row, box);
  $("transcripts")[first ? "prepend" : "append"](item);
  $("empty").hidden = true;
}

/** Shows what is new since, and new titles: other windows upload and edit as well. */
async function look() {
  const entries = await api("/api/transcripts"), isFirst = !$("transcripts").childElementCount;
  for (const entry of isFirst ? entries : entries.reverse()) card(entry, !isFirst);
}

/** A live bar with cancel; with a button to try again once it has failed. */
function bar(id, label, ended, done = false) {
  const box = make("div");
  const tracker = make("progress-tracker", "", { hidden: done });
  for (const [name, value] of Object.entries({ operation: id, label, cancellable: "", patience: 10 })) tracker.setAttribute(name, value);
  const retry = make("button", "Try again", { type: "button", className: "retry", hidden: true });
  retry.setAttribute("aria-label", `Try again: ${label}`);
  retry.onclick = async () => {
    retry.disabled = true;
    try {
      await api(`/api/jobs/${id}/retry`, { method: "POST" });
      tracker.refresh();
    } catch (error) { problem(error.message); }
    retry.disabled = false;
  };
  tracker.addEventListener("progress", ({ detail }) => {
    retry.hidden = !["failed", "cancelled"].includes(detail.status);
    tracker.hidden = detail.status === "completed";
    box.dataset.status = detail.status;
  });
  // progress is kept for some days: what became a transcript meanwhile stays, what did not can be tried again
  tracker.addEventListener("trouble", ({ detail }) => { if (detail.code === "not_found") retry.hidden = done; });
  tracker.addEventListener("end", ({ detail }) => ended(detail));
  box.append(tracker, retry);
  return box;
}

async function open(id, start) {
  if (!/^[0-9a-f]{32}$/.test(id)) return;
  try {
    show(id, await api(`/api/transcripts/${id}`), start);
    problem("");
    const here = $("segments").querySelector(".here");
    (here || $("reader")).scrollIntoView({ block: here ? "center" : "start" });
  } catch {
    $("reader").hidden = true;
    problem("This transcript is not there: it is not ready yet, or has failed.");
  }
}

function show(id, found, start) {
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
const calm = () => $("bell").toggleAttribute("toast", !narrow.matches && $("editor").hidden);
narrow.addEventListener("change", calm);

function editing(is) {
  $("editor").hidden = !is; $("segments").hidden = $("downloads").hidden = $("edit").hidden = is;
  $("edit-problem").hidden = true;
  calm();
}

function edit(id, found) {
  Object.assign($("edit-title"), { value: found.title, defaultValue: found.title });
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
  $("edit-cancel").onclick = () => { editing(false); $("edit").focus(); };
  const isChanged = () => [...$("editor").elements].some((each) => "defaultValue" in each && each.value !== each.defaultValue);
  $("editor").onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("editor").requestSubmit();
    // what was written is not thrown away by one key
    else if (event.key === "Escape") { if (isChanged()) $("edit-cancel").focus(); else $("edit-cancel").click(); }
  };
  $("editor").onsubmit = async (event) => {
    event.preventDefault();
    const pairs = (fields, keys) => Object.fromEntries(fields.flatMap((each, index) =>
      each.value === each.defaultValue ? [] : [[keys[index], each.value]]));
    const change = { revision: found.revision, title: $("edit-title").value, texts: pairs(texts, texts.map((_, index) => index)), speakers: pairs(speakers, names) };
    try {
      const now = await api(`/api/transcripts/${id}`, { method: "PATCH", body: JSON.stringify(change) });
      show(id, now);
      document.querySelector(`#t-${id} .row a`).textContent = now.title;
      $("edit").focus();
      search();
    } catch (error) { $("edit-problem").textContent = error.message; $("edit-problem").hidden = false; }
  };
  editing(true);
  $("edit-title").focus();
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** Searches, or says in the place of the results why it cannot. */
const search = () => find().catch((error) => results([], error.message));

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
    link.onclick = (event) => { event.preventDefault(); history.pushState(null, "", `#${hit.transcript}`); open(hit.transcript, hit.start); };
    const more = make("button", "More like this", { type: "button", className: "more" });
    more.setAttribute("aria-label", `More like: ${hit.text}`);
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

function archive(id) {
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
  const box = bar(id, "All transcripts as ZIP", ({ status }) => { if (status === "completed") link(); });
  box.append(line);
  $("archives").replaceChildren(box);
}

$("samples").onclick = async () => {
  $("samples").disabled = true;
  const fetched = ["product_meeting.wav", "garden_podcast.en.srt"].map(async (name) => {
    const answer = await fetch(`/samples/${name}`);
    if (!answer.ok) throw new Error(`The studio answered ${answer.status}. Try again.`);
    return new File([await answer.blob()], name);
  });
  try { await upload(await Promise.all(fetched)); } catch (error) { problem(error.message); }
  $("samples").disabled = false;
};
$("file").onchange = () => { upload([...$("file").files]); $("file").value = ""; };
const zone = $("drop");
for (const kind of ["dragover", "dragleave", "drop"]) zone.addEventListener(kind, (event) => {
  event.preventDefault(); zone.classList.toggle("over", kind === "dragover");
  if (kind === "drop") upload([...event.dataTransfer.files]);
});
calm();
/** Searches and brings what was found into view: its field is there wherever one has scrolled to. */
const lookFor = async () => {
  await search();
  if ($("results").getBoundingClientRect().top < 0) $("results").scrollIntoView({ block: "start" });
};
$("search").onsubmit = (event) => { event.preventDefault(); lookFor(); };
$("query").oninput = () => { clearTimeout(search.timer); search.timer = setTimeout(lookFor, 150); };
$("archive").onclick = async () => {
  try { archive((await api("/api/archives", { method: "POST" })).id); } catch (error) { problem(error.message); }
};
addEventListener("hashchange", () => open(location.hash.slice(1)));
const lookSoon = () => { clearTimeout(look.timer); look.timer = setTimeout(() => look().catch(() => {}), 300); };
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") lookSoon(); });
$("bell").addEventListener("notification", lookSoon);
customElements.get("progress-tracker").words.not_found = "Nobody works on this any more";
for (let begun = false; !begun;) {
  try { await look(); begun = true; problem(""); } catch (error) {
    problem(error.message);
    await new Promise((go) => setTimeout(go, 3_000));
  }
}
if (location.hash) open(location.hash.slice(1));
