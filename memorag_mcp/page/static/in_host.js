// Inside a host: shows the result of the tool that the page was opened for, in the host's colours.

import { button, say } from "./dom.js";
import { HostClient } from "./host_client.js";

export class HostView {
  constructor() {
    this.args = {};
    this.client = new HostClient({
      context: (context) => this.#dress(context),
      toolInput: (args) => {
        this.args = args;
      },
      toolResult: (result) => this.#show(result),
      toolCancelled: (reason) => say(`It was stopped. ${reason}`),
    });
  }

  // Takes the page's panes, then lets the host speak.
  async start(app) {
    this.app = app;
    document.body.classList.add("in-host");
    await this.client.connect();
    if (this.client.canFill) document.querySelector(".top").append(button("Full screen", () => this.client.fill(), { class: "quiet" }));
  }

  #dress({ theme, styles }) {
    if (theme) document.documentElement.style.colorScheme = theme;
    for (const [name, value] of Object.entries(styles?.variables ?? {})) {
      if (name.startsWith("--") && value) document.documentElement.style.setProperty(name, value);
    }
  }

  async #show(result) {
    if (result.isError) return say(result.content?.[0]?.text ?? "The tool failed.");
    const found = result.structuredContent ?? {};
    if (found.contexts) return this.app.library.showAll(found);
    const contexts = [found.context_id, ...(found.more_contexts ?? [])].filter(Boolean);
    const question = found.question ?? this.args.question ?? (this.args.focus || "Summary");
    const answer = found.claims ? found : undefined;
    this.app.library.choose(contexts);
    this.app.talk.showRecord({ question, contexts, clues: found.clues, passages: found.passages, answer });
  }
}
