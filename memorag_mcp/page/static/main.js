// Starts the page: finds out whom it speaks to, and joins the three panes.

import { say } from "./dom.js";
import { History } from "./history.js";
import { HttpClient } from "./http_client.js";
import { HostView } from "./in_host.js";
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

  start() {
    for (const tab of document.querySelectorAll(".tabs button")) {
      tab.addEventListener("click", () => this.show(tab.dataset.pane));
    }
    this.show("talk");
    listenToKeys(this);
  }

  async startAlone() {
    this.start();
    await this.library.refresh();
    this.talk.remember(new History(this.client));
  }

  async startIn(host) {
    this.start();
    await host.start(this);
    this.library.refresh().catch((error) => say(error.message)); // what is shown needs none of it
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
    this.client.tellModel?.(`The user looks at ${place.title || place.document_id} (${place.document_id}), characters ${place.start} to ${place.end}.`);
    return this.source.open(place, places);
  }
}

async function begin() {
  if (window.parent === window) return new App(new HttpClient()).startAlone();
  const host = new HostView(); // a browser lets nobody else frame the page
  return new App(host.client).startIn(host);
}

begin().catch((error) => say(error.message));
