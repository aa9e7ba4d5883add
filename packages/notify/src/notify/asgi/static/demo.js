/** A page that shows whoever is signed in their inbox, as it changes. */
import { sharedClient } from "./client.js";
import "./elements.js";

const client = sharedClient();
const connection = document.getElementById("connection");

function say() {
  const words = { live: "live", connecting: "connecting …", retrying: "reconnecting …", offline: "offline", refused: "sign in first" };
  connection.textContent = words[client.connection] ?? "";
}

client.addEventListener("connection", say);
say();
