/** A page that shows whoever is signed in their operations, as they come. */
import { sharedClient } from "./client.js";
import "./element.js";

const LOOK_EVERY = 3_000;
const MOST = 20;
const client = sharedClient();
const list = document.getElementById("list");
const connection = document.getElementById("connection");

function say() {
  const words = { live: "live", connecting: "connecting …", retrying: "reconnecting …", offline: "offline", refused: "sign in first" };
  connection.textContent = words[client.connection] ?? "";
}

async function look() {
  try {
    const { items } = await client.list({ limit: 200 });
    const roots = items.filter((each) => !each.parentId).slice(0, MOST);
    const known = new Map([...list.children].map((each) => [each.getAttribute("operation"), each]));
    const wanted = roots.map((each) => known.get(each.id) ?? card(each.id));
    arrange(wanted);
    document.getElementById("nothing").hidden = roots.length > 0;
    say();
  } catch (error) {
    if (error.code === "unauthorized") connection.textContent = "sign in first";
  }
  setTimeout(look, LOOK_EVERY);
}

/** Those that stay are not moved: the focus may be in one of them. */
function arrange(wanted) {
  for (const each of [...list.children]) if (!wanted.includes(each)) each.remove();
  wanted.forEach((each, index) => {
    if (list.children[index] !== each) list.insertBefore(each, list.children[index] ?? null);
  });
}

function card(id) {
  const made = document.createElement("progress-tracker");
  made.setAttribute("operation", id);
  made.setAttribute("cancellable", "");
  made.setAttribute("parts", "");
  return made;
}

client.addEventListener("connection", say);
look();
