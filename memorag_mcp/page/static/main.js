// Starts the page: finds out whom it speaks to, and joins the three panes.

import { say } from "./dom.js";
import { History } from "./history.js";
import { HttpClient } from "./http_client.js";
import { listenToKeys } from "./keys.js";
import { Library } from "./library.js";
import { SourcePane } from "./source.js";
import { Talk } from "./talk.js";

class App {
  constructor(client) {
    this.client = client;
    this.source = new SourcePane(this, document.querySelector(".source"));
    this.library = new Library(this, document.querySelector(".library"));
    this.talk = new Talk(this, document.querySelector(".talk"));
  }

  async start() {
    for (const tab of document.querySelectorAll(".tabs button")) {
      tab.addEventListener("click", () => this.show(tab.dataset.pane));
    }
    this.show("talk");
    listenToKeys(this);
    await this.library.refresh();
    this.talk.remember(new History(this.client));
  }

  // Which pane a narrow window shows.
  show(pane) {
    document.body.dataset.pane = pane;
    for (const tab of document.querySelectorAll(".tabs button")) {
      tab.setAttribute("aria-pressed", String(tab.dataset.pane === pane));
    }
  }

  // Opens a document at a place; `places` are those to step through, `why` tells what found each of them.
  open(place, places = [place]) {
    this.show("source");
    return this.source.open(place, places);
  }
}

const app = new App(new HttpClient());
app.start().catch((error) => say(error.message));
