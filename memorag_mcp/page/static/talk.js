// The pane in the middle: asks, and shows clues, evidence and answer as they are made.

import { button, el, plural, say } from "./dom.js";
import { Turn } from "./turn.js";

export class Talk {
  constructor(app, pane) {
    this.app = app;
    this.history = null;
    this.turns = el("div", { class: "turns" });
    this.asked = el("p", { class: "asked" });
    this.question = el("textarea", {
      id: "question",
      rows: "2",
      placeholder: "Ask what the documents say",
      on: { keydown: (event) => this.#onKey(event) },
    });
    this.only = el("input", { type: "checkbox", id: "only-search" });
    const form = el(
      "form",
      { class: "ask", on: { submit: (event) => this.#submit(event) } },
      el("label", { for: "question", class: "only-heard" }, "Question"),
      this.question,
      el(
        "div",
        { class: "row" },
        this.asked,
        el("label", { class: "tick" }, this.only, " Search only"),
        el("button", { type: "submit", class: "main" }, "Ask"),
      ),
    );
    this.welcome = el(
      "div",
      { class: "welcome" },
      el("p", {}, "Answers come with the sentences they rest on. Click a number to see it in its document."),
      el("p", { class: "hint" }, "Keys: / to ask, ] and [ for the next and previous passage, Esc to come back."),
    );
    pane.append(el("div", { class: "scroll", tabindex: "0" }, this.welcome, this.turns), form);
    this.scroll = pane.firstChild;
  }

  focus() {
    this.app.show("talk");
    this.question.focus();
  }

  // Shows the turns of before, and keeps those to come.
  remember(history) {
    this.history = history;
    history.turns.forEach((record) => this.#append(record).drawAll());
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  // Shows what a tool returned elsewhere.
  showRecord(record) {
    this.#append(record).drawAll();
  }

  showChosen() {
    const ids = [...this.app.library.chosen];
    const names = ids.map((id) => this.app.library.titleOf(id));
    this.asked.textContent = names.length ? `Asks ${names.length > 2 ? plural(names.length, "context") : names.join(" and ")}` : "";
  }

  async summarize(context_id) {
    this.app.show("talk");
    const record = { question: `Summary of ${this.app.library.titleOf(context_id)}`, contexts: [context_id] };
    await this.#run(record, (turn, options) => turn.summarize(options));
  }

  // Asks a question that was suggested, of the contexts that it is about.
  askOf(question, contexts) {
    this.app.library.choose(contexts);
    return this.#run({ question, contexts }, (turn, options) => turn.ask(options));
  }

  #onKey(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.#submit(event);
  }

  async #submit(event) {
    event.preventDefault();
    const question = this.question.value.trim();
    const contexts = [...this.app.library.chosen];
    if (!question) return;
    if (!contexts.length) return say("Choose a context to ask, or drop files to memorize first.");
    this.question.value = "";
    const onlySearch = this.only.checked;
    await this.#run({ question, contexts, onlySearch }, (turn, options) => turn.ask(options));
  }

  async #run(record, work) {
    const turn = this.#append(record);
    const stop = new AbortController();
    const cancel = button("Stop", () => stop.abort(), { class: "quiet stop" });
    turn.node.append(cancel);
    turn.node.scrollIntoView({ block: "start" });
    try {
      await work(turn, { signal: stop.signal });
      this.history?.add(record);
    } catch (error) {
      turn.fail(stop.signal.aborted ? "Stopped." : error.message);
    }
    cancel.remove();
  }

  #append(record) {
    this.welcome.hidden = true;
    const turn = new Turn(this.app, record, () => {
      this.history?.remove(record);
      turn.node.remove();
    });
    this.turns.append(turn.node);
    return turn;
  }
}
