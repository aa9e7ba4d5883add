// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const STEPS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
];
let ahead = 0;

/** Note the broker's time, by which ages are told whatever this machine's clock says. */
export function setNow(seconds) {
  ahead = seconds - Date.now() / 1000;
}

export const number = (value) => (value === null ? "–" : Math.abs(value) < 100000 ? whole.format(value) : short.format(value));

export function rate(value) {
  if (value === null) return "–";
  return value >= 10000 ? short.format(value) : plain(value, value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

const plain = (value, digits) => String(Number(value.toFixed(digits)));

/** A length of time in seconds, in two or three digits. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return seconds <= 0 ? "0 ms" : "<1 ms";
  if (seconds < 1) return `${plain(seconds * 1000, seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 60) return `${plain(seconds, seconds < 10 ? 2 : 1)} s`;
  const [size, unit] = STEPS.find(([each]) => seconds >= each);
  const count = Math.floor(seconds / size);
  const rest = STEPS[STEPS.findIndex(([each]) => each === size) + 1];
  if (!rest) return `${count} min ${Math.floor(seconds % 60)} s`;
  return `${count} ${unit} ${Math.floor((seconds % size) / rest[0])} ${rest[1]}`;
}

/** How long ago, or in how much time. */
export function age(iso) {
  if (!iso) return "–";
  const seconds = Date.now() / 1000 + ahead - Date.parse(iso) / 1000;
  if (seconds < -1) return `in ${rough(-seconds)}`;
  return seconds < 1 ? "now" : `${rough(seconds)} ago`;
}

function rough(seconds) {
  for (const [size, unit] of STEPS) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  return `${Math.floor(seconds)} s`;
}

export const time = (iso) => (iso ? moment.format(new Date(iso)) : "–");

export const at = (seconds) => clock.format(new Date(seconds * 1000));

/** Seconds between two times; null if one is missing. */
export const between = (begin, end) => (begin && end ? Math.max(0, (Date.parse(end) - Date.parse(begin)) / 1000) : null);
