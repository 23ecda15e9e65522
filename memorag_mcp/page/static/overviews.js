// What a context says in a few sentences, and what to ask of it: made when it is opened for the first time.

import { el } from "./dom.js";
import { drawSuggestions, suggest } from "./suggestions.js";

const WORDS = 60;

export class Overviews {
  constructor(app) {
    this.app = app;
    this.nodes = new Map();
  }

  // The overview of a context; another one once the context has changed.
  of({ context_id, created, document_count }) {
    const key = JSON.stringify([context_id, created, document_count]);
    if (!this.nodes.has(key)) this.nodes.set(key, this.#begin(context_id, key));
    return this.nodes.get(key);
  }

  #begin(context_id, key) {
    const node = el("div", { class: "overview", "aria-busy": "true" }, el("p", { class: "waiting" }, "Summarizing …"));
    this.#fill(node, context_id).catch((error) => {
      this.nodes.delete(key); // opened again, it is tried again
      node.replaceChildren(el("p", { class: "hint" }, error.message));
    });
    return node;
  }

  async #fill(node, context_id) {
    const { text } = await this.app.client.call("summarize", { context_id, words: WORDS });
    node.replaceChildren(el("p", {}, text), el("p", { class: "waiting" }, "What to ask …"));
    const questions = await suggest(this.app.client, context_id);
    const ask = (question) => this.app.talk.askOf(question, [context_id]);
    node.replaceChildren(el("p", {}, text), ...(questions.length ? [drawSuggestions(questions, ask)] : []));
    node.removeAttribute("aria-busy");
  }
}
