/** The service worker of Web Push: shows what comes, opens only safe addresses. */

self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("push", (event) => {
  event.waitUntil(show(event.data));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.actionUrl));
});

async function show(data) {
  let message = {};
  try {
    message = data?.json() ?? {};
  } catch {
    // not ours; browsers demand that something is shown
  }
  const { id, title, message: body, actionUrl } = message;
  await self.registration.showNotification(text(title) || "Notification", {
    body: text(body),
    tag: text(id), // the same message never stands there twice
    data: { actionUrl: text(actionUrl) },
  });
}

function text(value) {
  return typeof value === "string" ? value : "";
}

/** The address if it is http(s) or a path of this site, else the site's own. */
function safe(address) {
  try {
    const url = new URL(address || "/", self.location.origin);
    if (["http:", "https:"].includes(url.protocol)) return url.href;
  } catch {
    // none
  }
  return `${self.location.origin}/`;
}

async function open(address) {
  const url = safe(address);
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = pages.find((each) => each.url === url);
  await (there ? there.focus() : self.clients.openWindow(url));
}
