/** What the bell and the list look like; pages change it by the properties `--notify-…`. */

const TEXT = `
:host {
  --_accent: var(--notify-accent, light-dark(#2563eb, #7fb0ff));
  --_on-accent: var(--notify-on-accent, light-dark(#ffffff, #0d1521));
  --_text: var(--notify-text, light-dark(#1b2430, #e8edf4));
  --_muted: var(--notify-muted, light-dark(#566273, #a3afbf));
  --_surface: var(--notify-surface, light-dark(#ffffff, #171c24));
  --_hover: var(--notify-hover, light-dark(#f3f6fa, #1f2631));
  --_unread: var(--notify-unread, light-dark(#f2f7ff, #1a2434));
  --_border: var(--notify-border, light-dark(#dde3ea, #2e3744));
  --_badge: var(--notify-badge, light-dark(#c8281c, #ff8a80));
  --_on-badge: var(--notify-on-badge, light-dark(#ffffff, #2b0906));
  --_info: var(--notify-info, light-dark(#2563eb, #7fb0ff));
  --_success: var(--notify-success, light-dark(#15803d, #4ade80));
  --_warning: var(--notify-warning, light-dark(#92600a, #f5c04e));
  --_error: var(--notify-error, light-dark(#b42318, #ff8a80));
  --_radius: var(--notify-radius, 12px);
  --_shadow: var(--notify-shadow, 0 10px 30px light-dark(rgb(20 30 50 / .16), rgb(0 0 0 / .55)));
  color: var(--_text);
  font: var(--notify-font, 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
}
:host([hidden]) { display: none; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
* { box-sizing: border-box; margin: 0; padding: 0; }
[hidden] { display: none !important; }
button, a { font: inherit; color: inherit; }
button { background: none; border: 0; cursor: pointer; border-radius: 8px; }
button[aria-disabled="true"] { cursor: default; opacity: .55; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
svg { fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.quiet { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.sign[data-type="info"] { color: var(--_info); }
.sign[data-type="success"] { color: var(--_success); }
.sign[data-type="warning"] { color: var(--_warning); }
.sign[data-type="error"] { color: var(--_error); }

/* the bell */
:host(notification-bell) { display: inline-block; position: relative; }
.bell { position: relative; display: grid; place-items: center; width: 44px; height: 44px; border-radius: 50%; }
.bell:hover, .bell[aria-expanded="true"] { background: var(--_hover); }
.bell svg { width: 22px; height: 22px; }
.badge {
  position: absolute; top: 3px; left: 23px; min-width: 18px; height: 18px; padding: 0 5px; border-radius: 99px;
  background: var(--_badge); color: var(--_on-badge); font-size: 11px; line-height: 18px; font-weight: 700;
  text-align: center; font-variant-numeric: tabular-nums; box-shadow: 0 0 0 2px var(--_surface);
}
.bell.cut svg { opacity: .5; }
.panel {
  position: absolute; z-index: 1000; top: calc(100% + 8px); right: 0; width: 400px; max-width: calc(100vw - 16px);
  translate: var(--_shift, 0) 0; border-radius: var(--_radius); box-shadow: var(--_shadow);
}
.panel notification-list { --_height: min(70vh, 480px); }
.toasts { position: fixed; z-index: 1001; right: 16px; bottom: 16px; width: 340px; max-width: calc(100vw - 32px); display: grid; gap: 10px; pointer-events: none; }
.toast {
  pointer-events: auto; display: grid; grid-template-columns: 20px minmax(0, 1fr) 28px; gap: 2px 10px; align-items: start;
  padding: 12px 10px 12px 14px; border: 1px solid var(--_border); border-radius: var(--_radius);
  background: var(--_surface); box-shadow: var(--_shadow); animation: rise .2s ease-out;
}
.toast .body { display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
@keyframes rise { from { opacity: 0; translate: 0 12px; } }

/* the list */
:host(notification-list) { display: block; container-type: inline-size; }
.list { display: flex; flex-direction: column; max-height: var(--_height, none); background: var(--_surface); border: 1px solid var(--_border); border-radius: var(--_radius); overflow: hidden; }
header { padding: 12px 14px 10px; border-bottom: 1px solid var(--_border); }
.top { display: flex; align-items: center; gap: 8px; min-height: 32px; }
h2 { flex: 1; font-size: 1.1em; font-weight: 650; }
.count { color: var(--_muted); font-weight: 400; font-variant-numeric: tabular-nums; }
.all { flex: none; padding: 5px 10px; min-height: 32px; color: var(--_accent); font-weight: 600; font-size: .93em; }
.all:hover:not([aria-disabled="true"]) { background: var(--_hover); }
.filters { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 8px; }
.filters button { padding: 3px 12px; min-height: 30px; border: 1px solid var(--_border); border-radius: 99px; color: var(--_muted); font-size: .93em; }
.filters button:hover { background: var(--_hover); }
.filters button[aria-pressed="true"] { background: var(--_accent); border-color: var(--_accent); color: var(--_on-accent); font-weight: 600; }
.note { padding: 7px 14px; background: var(--_hover); color: var(--_muted); font-size: .93em; }
.scroll { overflow-y: auto; overscroll-behavior: contain; min-height: 0; }
ul { list-style: none; }
li { position: relative; display: grid; grid-template-columns: 20px minmax(0, 1fr) auto; gap: 2px 11px; padding: 12px 10px 12px 14px; border-bottom: 1px solid var(--_border); }
li:last-child { border-bottom: 0; }
li:hover { background: var(--_hover); }
li.unread { background: var(--_unread); }
li.unread::before { content: ""; position: absolute; inset: 0 auto 0 0; width: 3px; background: var(--_accent); }
li:focus-visible { outline-offset: -2px; border-radius: 4px; }
.sign { width: 20px; height: 20px; margin-top: 1px; }
.title { font-weight: 500; overflow-wrap: anywhere; display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
.unread .title, .toast .title { font-weight: 650; }
.body { color: var(--_muted); overflow-wrap: anywhere; white-space: pre-line; }
li .body { margin-top: 1px; display: -webkit-box; -webkit-line-clamp: 6; -webkit-box-orient: vertical; overflow: hidden; }
.meta { display: flex; flex-wrap: wrap; gap: 3px 10px; align-items: center; margin-top: 4px; color: var(--_muted); font-size: .87em; }
.category { padding: 0 7px; border: 1px solid var(--_border); border-radius: 99px; max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.action { color: var(--_accent); font-weight: 600; text-underline-offset: 3px; overflow-wrap: anywhere; }
.buttons { display: flex; gap: 2px; }
.buttons button, .dismiss { display: grid; place-items: center; width: 32px; height: 32px; color: var(--_muted); }
.buttons button:hover, .dismiss:hover { background: var(--_border); color: var(--_text); }
.buttons svg, .dismiss svg { width: 17px; height: 17px; }
.dismiss { width: 28px; height: 28px; margin-top: -4px; }
.empty { padding: 36px 20px 40px; text-align: center; color: var(--_muted); }
.empty svg { display: block; width: 38px; height: 38px; margin: 0 auto 10px; opacity: .55; stroke-width: 1.5; }
.retry, .more { display: block; margin: 10px auto; padding: 6px 14px; min-height: 34px; border: 1px solid var(--_border); font-weight: 600; font-size: .93em; }
.retry:hover, .more:hover { background: var(--_hover); }
@container (max-width: 360px) {
  li { gap: 2px 8px; padding: 11px 6px 11px 12px; }
  .buttons { flex-direction: column; }
  .count { display: block; font-size: .85em; }
}
@media (max-width: 460px) {
  .panel { position: fixed; inset: var(--_top, 56px) 8px auto; width: auto; translate: none; }
  .toasts { left: 16px; width: auto; }
}
@media (prefers-reduced-motion: reduce) { .toast { animation: none; } }
@media (forced-colors: active) {
  .badge, .filters button[aria-pressed="true"] { forced-color-adjust: none; background: Highlight; color: HighlightText; }
  li.unread::before { background: Highlight; forced-color-adjust: none; }
}
`;

let sheet;

/** Give a shadow root the sheet, which all of them share. */
export function dress(root) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(TEXT);
  }
  root.adoptedStyleSheets = [sheet];
}

const PATHS = {
  bell: ["M18 8a6 6 0 0 0-12 0c0 7-3 8-3 8h18s-3-1-3-8", "M13.7 20a2 2 0 0 1-3.4 0"],
  info: ["M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18", "M12 11v5", "M12 7.6v.1"],
  success: ["M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18", "m8.2 12.3 2.6 2.6 5-5.6"],
  warning: ["M12 3.5 2.7 19.5h18.6z", "M12 10v4", "M12 16.8v.1"],
  error: ["M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18", "m9 9 6 6m0-6-6 6"],
  read: ["m4.5 12.8 4.6 4.7L19.5 7"],
  archive: ["M3.5 4.5h17v4h-17z", "M5 8.5v11h14v-11", "M10 12.5h4"],
  close: ["m6.5 6.5 11 11m0-11-11 11"],
};

/** Return a picture by name; what is unknown looks like `info`. */
export function picture(name) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("aria-hidden", "true");
  for (const each of PATHS[name] ?? PATHS.info) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", each);
    made.append(path);
  }
  return made;
}

/** Return an element with attributes and children; texts are texts, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((each) => each !== undefined && each !== ""));
  return made;
}

/** Let `parent` hold `nodes`, in their order; those that stay are not moved, or their focus would go. */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const each of [...parent.children]) if (!wanted.has(each)) each.remove();
  let at = parent.firstElementChild;
  for (const node of nodes) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}

/** What has the focus, in whichever shadow root. */
export function focused() {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at;
}
