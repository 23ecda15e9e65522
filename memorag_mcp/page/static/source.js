// The pane of the source: a document opened at a place, and the steps to the places before and behind it.

import { button, el, pageOf, say } from "./dom.js";
import { PageView } from "./page_view.js";
import { TextView } from "./text_view.js";

export class SourcePane {
  constructor(app, pane) {
    this.app = app;
    this.places = [];
    this.at = 0;
    this.asText = false;
    this.sizes = new Map();
    this.title = el("h2", {}, "Source");
    this.where = el("p", { class: "hint" }, "Click the number of a quote, or a document.");
    this.why = el("p", { class: "hint why" });
    this.count = el("span", { class: "count" });
    this.previous = button("‹", () => this.step(-1), { "aria-label": "Previous passage", title: "Previous passage ([)" });
    this.next = button("›", () => this.step(1), { "aria-label": "Next passage", title: "Next passage (])" });
    this.asPages = button("Pages", () => this.#choose(false));
    this.asWords = button("Text", () => this.#choose(true));
    this.views = el("div", { class: "views", role: "group", "aria-label": "Show as" }, this.asPages, this.asWords);
    this.body = el("div", { class: "scroll document", tabindex: "0", role: "region", "aria-label": "Document" });
    const steps = el("div", { class: "steps-through" }, this.previous, this.count, this.next);
    pane.append(el("header", {}, this.title, steps, this.where, this.why, this.views), this.body);
    this.#drawSteps();
    this.views.hidden = true;
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
      await this.#show(place);
    } catch (error) {
      this.view = null;
      this.body.replaceChildren(el("p", { class: "warning", role: "alert" }, error.message));
      say(error.message);
    }
    this.body.removeAttribute("aria-busy");
  }

  step(by) {
    const place = this.places[this.at + by];
    return place && this.open(place, this.places);
  }

  // As pages where it has any that can be shown, else as text. The view of a document stays for its other places.
  async #show(place) {
    const key = `${place.context_id}/${place.document_id}`;
    const sizes = await this.#measure(key, place);
    this.views.hidden = !sizes.length;
    const asText = this.asText || !sizes.length;
    this.asPages.setAttribute("aria-pressed", String(!asText));
    this.asWords.setAttribute("aria-pressed", String(asText));
    if (asText || this.view?.key !== key || !(this.view instanceof PageView)) {
      this.view?.stop();
      this.view = asText ? new TextView(this.app.client, this.body) : new PageView(this.app.client, this.body, sizes);
      this.view.key = key;
    }
    await this.view.show(place);
  }

  async #measure(key, { context_id, document_id }) {
    if (!this.sizes.has(key)) {
      const { sizes } = await this.app.client.call("page_sizes", { context_id, document_id });
      this.sizes.set(key, sizes);
    }
    return this.sizes.get(key);
  }

  #choose(asText) {
    this.asText = asText;
    return this.open(this.places[this.at], this.places);
  }

  #drawSteps() {
    const many = this.places.length > 1;
    this.count.textContent = many ? `${this.at + 1} of ${this.places.length}` : "";
    this.previous.disabled = this.at < 1;
    this.next.disabled = this.at + 1 >= this.places.length;
    this.previous.hidden = this.next.hidden = !many;
  }
}
