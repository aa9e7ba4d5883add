// Live progress and notifications are the elements of progress-tracker and notify, which connect,
// reconnect and catch up by themselves.
import { search } from "./finding.js";
import { $, pressed, problem } from "./page.js";
import { calm, follow, isChanged } from "./reader.js";
import { isSending, look, upload } from "./uploads.js";

pressed($("samples"), async () => {
  const fetched = ["product_meeting.wav", "garden_podcast.en.srt"].map(async (name) => {
    const answer = await fetch(`/samples/${name}`);
    if (!answer.ok) throw new Error(`The studio answered ${answer.status}. Try again.`);
    return new File([await answer.blob()], name);
  });
  try { await upload(await Promise.all(fetched)); } catch (error) { problem(error.message); }
});
$("file").onchange = () => { upload([...$("file").files]); $("file").value = ""; };
// anywhere on the page: what falls beside the field would else be opened in its place
for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  $("drop").classList.toggle("over", kind === "dragover");
  if (kind === "drop") upload([...event.dataTransfer.files]);
});
addEventListener("beforeunload", (event) => { if (isSending() || isChanged()) event.preventDefault(); });
calm();
/** Searches and brings what was found into view: its field is there wherever one has scrolled to. */
const lookFor = async () => {
  await search();
  if ($("results").getBoundingClientRect().top < 0) $("results").scrollIntoView({ block: "start" });
};
$("search").onsubmit = (event) => { event.preventDefault(); lookFor(); };
$("query").oninput = () => { clearTimeout(search.timer); search.timer = setTimeout(lookFor, 150); };
addEventListener("hashchange", follow);
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
follow();
