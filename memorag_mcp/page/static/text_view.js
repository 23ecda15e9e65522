// A document's text around a place, which is marked; more of it is read as one goes up or down.

import { button, el } from "./dom.js";

const BEFORE = 3000;
const STEP = 8000;

export class TextView {
  constructor(client, body) {
    this.client = client;
    this.body = body;
    this.text = el("div", { class: "text" });
    this.earlier = button("Earlier text", () => this.#readEarlier(), { class: "quiet more" });
    this.later = button("Later text", () => this.#readLater(), { class: "quiet more" });
  }

  // Shows `[start, end)` of a document. Offsets count characters as Python does, of which JavaScript may need two.
  async show(place) {
    this.place = place;
    const start = Math.max(0, place.start - BEFORE);
    const first = await this.#read(start, place.end + STEP - start);
    this.start = start;
    this.end = start + lengthOf(first.text);
    this.total = first.characters;
    this.text.replaceChildren(...this.#draw(first));
    this.body.replaceChildren(this.earlier, this.text, this.later);
    this.#drawMore();
    const mark = this.text.querySelector("mark");
    if (mark) mark.scrollIntoView({ block: "center" });
    else this.body.scrollTop = 0;
    return first;
  }

  stop() {}

  async #read(start, length) {
    const { context_id, document_id } = this.place;
    return this.client.call("read_text", { context_id, document_id, start, length: Math.min(length, 20000) });
  }

  async #readEarlier() {
    const start = Math.max(0, this.start - STEP);
    const part = await this.#read(start, this.start - start);
    const below = this.body.scrollHeight - this.body.scrollTop;
    this.start = start;
    this.text.prepend(...this.#draw(part));
    this.#drawMore();
    this.body.scrollTop = this.body.scrollHeight - below;
  }

  async #readLater() {
    const part = await this.#read(this.end, STEP);
    this.end += lengthOf(part.text);
    this.text.append(...this.#draw(part));
    this.#drawMore();
  }

  #drawMore() {
    this.earlier.hidden = this.start === 0;
    this.later.hidden = this.end >= this.total;
  }

  // Text nodes, with a mark where the place is, and a line where a page begins.
  #draw(part) {
    const letters = Array.from(part.text);
    const cuts = [...part.pages.map((offset) => offset - part.start), this.place.start - part.start, this.place.end - part.start];
    const inside = [...new Set(cuts)].filter((cut) => cut > 0 && cut < letters.length).sort((one, other) => one - other);
    let page = part.first_page;
    return [0, ...inside].flatMap((from, index) => {
      const to = inside[index] ?? letters.length;
      const text = letters.slice(from, to).join("");
      const marked = from + part.start >= this.place.start && to + part.start <= this.place.end;
      const node = marked ? el("mark", {}, text) : document.createTextNode(text);
      return part.pages.includes(from + part.start) ? [el("span", { class: "page-line" }, `Page ${++page}`), node] : [node];
    });
  }
}

function lengthOf(text) {
  return Array.from(text).length;
}
