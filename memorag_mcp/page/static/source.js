// The pane of the source: a document opened at a place, and the steps to the places before and behind it.

import { button, el, pageOf, say } from "./dom.js";
import { TextView } from "./text_view.js";

export class SourcePane {
  constructor(app, pane) {
    this.app = app;
    this.places = [];
    this.at = 0;
    this.title = el("h2", {}, "Source");
    this.where = el("p", { class: "hint" }, "Click the number of a quote, or a document.");
    this.why = el("p", { class: "hint why" });
    this.count = el("span", { class: "count" });
    this.previous = button("‹", () => this.step(-1), { "aria-label": "Previous passage", title: "Previous passage ([)" });
    this.next = button("›", () => this.step(1), { "aria-label": "Next passage", title: "Next passage (])" });
    this.body = el("div", { class: "scroll document", tabindex: "0", "aria-label": "Document" });
    const steps = el("div", { class: "steps-through" }, this.previous, this.count, this.next);
    pane.append(el("header", {}, this.title, steps, this.where, this.why), this.body);
    this.#drawSteps();
  }

  async open(place, places) {
    this.places = places;
    this.at = Math.max(0, places.indexOf(place));
    this.#drawSteps();
    this.title.textContent = place.title || place.document_id;
    this.where.textContent = [place.context_id, place.document_id, pageOf(place)].filter(Boolean).join(" › ");
    this.why.textContent = place.why ?? "";
    this.body.setAttribute("aria-busy", "true");
    try {
      const view = new TextView(this.app.client, this.body);
      const shown = await view.show(place);
      this.title.textContent = shown.title;
      this.where.textContent = [place.context_id, shown.source || place.document_id, pageOf(place)].filter(Boolean).join(" › ");
    } catch (error) {
      this.body.replaceChildren(el("p", { class: "warning", role: "alert" }, error.message));
      say(error.message);
    }
    this.body.removeAttribute("aria-busy");
  }

  step(by) {
    const place = this.places[this.at + by];
    return place && this.open(place, this.places);
  }

  #drawSteps() {
    const many = this.places.length > 1;
    this.count.textContent = many ? `${this.at + 1} of ${this.places.length}` : "";
    this.previous.disabled = this.at < 1;
    this.next.disabled = this.at + 1 >= this.places.length;
    this.previous.hidden = this.next.hidden = !many;
  }
}
