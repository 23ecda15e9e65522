// One question with what came of it. The record is what is kept; the node shows it, step by step or at once.

import { drawAnswer } from "./answer.js";
import { button, el, plural, say } from "./dom.js";
import { drawClues, drawPassages } from "./evidence.js";
import { answerAsMarkdown } from "./markdown.js";
import { drawSuggestions, suggest } from "./suggestions.js";

export class Turn {
  constructor(app, record, onRemove) {
    this.app = app;
    this.record = record;
    this.steps = el("div", { class: "steps" });
    this.answer = el("div", { class: "answer" });
    this.tools = el("div", { class: "row tools" });
    const titles = record.contexts.map((id) => app.library.titleOf(id)).join(", ");
    this.node = el(
      "article",
      { class: "turn", "aria-label": record.question },
      el("h2", {}, record.question),
      el("p", { class: "hint" }, titles),
      this.answer,
      this.steps,
      this.tools,
    );
    this.remove = button("Remove", onRemove, { class: "quiet" });
  }

  async ask({ signal }) {
    const { question, contexts, onlySearch } = this.record;
    const [context_id, ...more_contexts] = contexts;
    const args = { context_id, question, ...(more_contexts.length ? { more_contexts } : {}) };
    this.#wait("Recalling clues …");
    this.record.clues = (await this.app.client.call("recall_clues", args, { signal })).clues;
    this.#drawSteps();
    this.#wait("Looking for evidence …");
    this.record.passages = (await this.app.client.call("retrieve_evidence", args, { signal })).passages;
    this.#drawSteps();
    if (!onlySearch) await this.#write("answer", args, signal);
    this.drawAll();
  }

  async summarize({ signal }) {
    const [context_id] = this.record.contexts;
    await this.#write("summarize", { context_id }, signal);
    this.drawAll();
    this.record.next = await suggest(this.app.client, context_id);
    this.drawAll();
  }

  drawAll() {
    const { answer, clues, passages } = this.record;
    this.answer.replaceChildren();
    this.answer.removeAttribute("aria-busy");
    if (answer) drawAnswer(this.app, this.record, this.answer);
    this.#drawSteps();
    this.tools.replaceChildren(answer ? button("Copy as Markdown", () => this.#copy(), { class: "quiet" }) : "", this.remove);
    if (passages && !answer) say(`${plural(passages.length, "passage")} found, ${plural(clues?.length ?? 0, "clue")}.`);
  }

  fail(why) {
    this.answer.removeAttribute("aria-busy");
    this.answer.replaceChildren(el("p", { class: "warning", role: "alert" }, why));
    this.tools.replaceChildren(this.remove);
  }

  async #write(tool, args, signal) {
    const text = el("p", { class: "growing" });
    this.#wait("Writing …", text);
    const onPiece = (piece) => text.append(piece);
    this.record.answer = await this.app.client.call(tool, args, { signal, onPiece });
    const claims = this.record.answer.claims;
    const borne = claims.filter((claim) => claim.support === "borne out").length;
    say(claims.length ? `Answered: ${borne} of ${plural(claims.length, "sentence")} borne out.` : "Answered.");
  }

  #wait(what, ...more) {
    this.answer.setAttribute("aria-busy", "true");
    this.answer.replaceChildren(el("p", { class: "waiting" }, what), ...more);
  }

  #drawSteps() {
    const { clues, passages, answer, next } = this.record;
    const ask = (question) => this.app.talk.askOf(question, this.record.contexts);
    const parts = [
      clues && drawClues(this.app, this.record),
      passages && drawPassages(this.app, this.record, !answer),
      next?.length && drawSuggestions(next, ask),
    ];
    this.steps.replaceChildren(...parts.filter(Boolean));
  }

  async #copy() {
    await copyText(answerAsMarkdown(this.record));
    say("Copied, with quotes and places.");
  }
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { class: "only-heard" }); // a host may not let us near the clipboard
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
