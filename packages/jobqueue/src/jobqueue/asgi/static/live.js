// The stream of figures: one for the page, whatever view it shows.

import { get, query } from "./api.js";

const POINTS = 300;
const SPAN = 600;

export class Live {
  #told;
  #connection;
  #source = null;
  #mark = null;
  #pause = 1000;
  state = null;
  points = [];

  /** `told` hears of every message, `connection` of states: live, connecting, signed-out. */
  constructor(told, connection) {
    this.#told = told;
    this.#connection = connection;
  }

  start() {
    this.#source = new EventSource(`api/events${query({ since: this.#mark })}`);
    this.#source.onerror = () => this.#broken();
    for (const name of ["overview", "news", "trouble"]) this.#source.addEventListener(name, (event) => this.#hear(name, event));
  }

  #hear(name, event) {
    this.#pause = 1000;
    this.#mark = event.lastEventId || this.#mark;
    const message = JSON.parse(event.data);
    this.#connection("live");
    if (name === "trouble") return this.#told({ trouble: message.error });
    if (name === "overview") this.points = [];
    this.points.push(...message.points);
    const oldest = message.now - SPAN;
    this.points = this.points.filter((each) => each.at >= oldest).slice(-POINTS);
    this.state = message;
    this.#told({ trouble: null });
  }

  async #broken() {
    this.#connection("connecting");
    if (this.#source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    this.#source.close();
    await new Promise((ready) => setTimeout(ready, this.#pause));
    this.#pause = Math.min(this.#pause * 2, 15000);
    try {
      await get("session");
    } catch (error) {
      if (error.status === 401) return this.#connection("signed-out");
    }
    this.start();
  }
}
