// The pane of contexts: which there are, which are asked, what is under way, what is damaged.

import { button, el, plural, say } from "./dom.js";
import { DropZone } from "./drop.js";
import { JobList } from "./jobs.js";
import { Overviews } from "./overviews.js";

export class Library {
  constructor(app, pane) {
    this.app = app;
    this.contexts = [];
    this.chosen = new Set();
    this.opened = new Set();
    this.overviews = new Overviews(app);
    this.list = el("ul", { class: "contexts" });
    this.damaged = el("ul", { class: "damaged" });
    this.jobs = new JobList(app);
    this.drop = new DropZone(app);
    const all = button("All", () => this.choose(this.contexts.map((context) => context.context_id)), { class: "quiet" });
    pane.append(el("header", {}, el("h2", {}, "Contexts"), all), this.jobs.node, this.list, this.damaged, this.drop.node);
  }

  // Asks the server anew. What was chosen stays so; where nothing is, the first context is.
  async refresh() {
    this.#show(await this.#listAll());
  }

  // Shows a list that was asked for elsewhere.
  showAll(listed) {
    this.app.show("library");
    this.#show(listed);
  }

  #show({ contexts, jobs, damaged }) {
    this.contexts = contexts;
    const there = new Set(contexts.map((context) => context.context_id));
    this.chosen = new Set([...this.chosen].filter((id) => there.has(id)));
    if (!this.chosen.size && contexts.length) this.chosen.add(contexts[0].context_id);
    this.jobs.show(jobs);
    this.damaged.replaceChildren(
      ...Object.entries(damaged).map(([id, why]) => el("li", {}, el("b", {}, id), " is damaged. ", el("span", {}, why))),
    );
    this.drop.showContexts(contexts);
    this.#draw();
  }

  // Follows a job to its end; a context that comes of it is asked from then on.
  async followJob(job, onEnd) {
    const end = await this.jobs.follow(job);
    onEnd(end);
    if (end.status === "completed") this.choose([end.context.context_id]);
  }

  choose(ids) {
    this.chosen = new Set(ids);
    this.#draw();
  }

  titleOf(id) {
    return this.contexts.find((context) => context.context_id === id)?.title ?? id;
  }

  async #listAll() {
    const all = await this.app.client.call("list_contexts", {});
    for (let page = all; page.next; ) {
      page = await this.app.client.call("list_contexts", { after: page.next });
      all.contexts.push(...page.contexts);
    }
    return all;
  }

  #draw() {
    const rows = this.contexts.map((context) => this.#row(context));
    const none = el("li", { class: "hint" }, "Nothing is memorized yet. Drop files here.");
    this.list.replaceChildren(...(rows.length ? rows : [none]));
    this.app.talk?.showChosen();
  }

  #row(context) {
    const id = context.context_id;
    const tick = el("input", {
      type: "checkbox",
      "aria-label": `Ask ${context.title}`,
      checked: this.chosen.has(id),
      on: { change: () => this.#toggle(id) },
    });
    const pages = context.documents.reduce((sum, document) => sum + (document.pages ?? 0), 0);
    const size = [
      plural(context.document_count, "document"),
      pages && plural(pages, "page"),
      context.created.slice(0, 10),
      context.ready !== "evidence and memory" && context.ready.split(":")[0], // what follows is for a model to do
    ];
    return el(
      "li",
      { class: this.chosen.has(id) ? "chosen" : "" },
      tick,
      el(
        "details",
        { open: this.opened.has(id), on: { toggle: (event) => this.#showOpened(context, event.currentTarget) } },
        el("summary", {}, el("span", { class: "name" }, context.title), el("small", {}, size.filter(Boolean).join(" · "))),
        el("ul", { class: "documents" }, context.documents.map((document) => this.#document(id, document))),
        context.document_count > context.documents.length &&
          el("p", { class: "hint" }, `and ${context.document_count - context.documents.length} more`),
        el("div", { class: "at-a-glance" }),
        button("Summarize at length", () => this.app.talk.summarize(id), { class: "quiet" }),
      ),
    );
  }

  // An opened context shows its overview, which stays the same node however often the list is drawn.
  #showOpened(context, details) {
    if (!details.open) return this.opened.delete(context.context_id);
    this.opened.add(context.context_id);
    details.querySelector(".at-a-glance").replaceChildren(this.overviews.of(context));
  }

  #document(context_id, document) {
    const place = { context_id, document_id: document.id, title: document.title, start: 0, end: 0 };
    const open = button(document.title, () => this.app.open(place).catch((error) => say(error.message)), { class: "link" });
    return el("li", {}, open, document.notice && el("small", { class: "warning" }, document.notice));
  }

  #toggle(id) {
    if (!this.chosen.delete(id)) this.chosen.add(id);
    this.#draw();
  }
}
