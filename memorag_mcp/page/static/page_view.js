// A document's pages as they look, one below the other; each is fetched when it comes near. The place is lit.

import { el, hiddenText } from "./dom.js";

const PIXELS = 1200;
const AHEAD = "120% 0px";

export class PageView {
  constructor(client, body, sizes) {
    this.client = client;
    this.body = body;
    this.sheets = sizes.map(([width, height], index) => this.#sheet(index + 1, width / height));
    this.wanted = new Set();
    this.fetching = false;
  }

  // Lights the place, which may go on to a second page, and goes there once its image is here.
  async show(place) {
    this.place = place;
    if (!this.sheets[0].isConnected) this.body.replaceChildren(...this.sheets);
    this.watch?.disconnect();
    this.body.querySelectorAll(".lit, .only-heard").forEach((mark) => mark.remove()); // of the place before
    const first = place.page ?? 1;
    const last = Math.min(place.last_page ?? first + 1, first + 1, this.sheets.length);
    this.sheets[first - 1].scrollIntoView({ block: "start" });
    for (let page = first; page <= last; page++) await this.#fetch(page);
    this.body.querySelector(".lit")?.scrollIntoView({ block: "center" });
    this.watch = new IntersectionObserver((seen) => this.#onSight(seen), { root: this.body, rootMargin: AHEAD });
    this.sheets.forEach((sheet) => this.watch.observe(sheet));
  }

  stop() {
    this.watch?.disconnect();
  }

  #sheet(page, shape) {
    const sheet = el("figure", { class: "sheet", "data-page": page, "aria-label": `Page ${page}` });
    sheet.style.aspectRatio = String(shape);
    return sheet;
  }

  // Pages that were only passed on the way are not fetched: one at a time, the latest that came in sight first.
  async #onSight(seen) {
    for (const { isIntersecting, target } of seen) {
      const page = Number(target.dataset.page);
      this.wanted.delete(page);
      if (isIntersecting && !target.classList.contains("shown")) this.wanted.add(page);
    }
    if (this.fetching) return;
    this.fetching = true;
    while (this.wanted.size) {
      const page = [...this.wanted].at(-1);
      this.wanted.delete(page);
      await this.#fetch(page).catch(() => {}); // the sheet tells
    }
    this.fetching = false;
  }

  async #fetch(page) {
    const { context_id, document_id, start, end } = this.place;
    const sheet = this.sheets[page - 1];
    sheet.classList.add("shown");
    try {
      const shown = await this.client.call("page_image", { context_id, document_id, page, width: PIXELS, start, end });
      const image = el("img", { alt: "", width: shown.width, height: shown.height, src: `data:${shown.image.mimeType};base64,${shown.image.data}` });
      await image.decode();
      sheet.replaceChildren(image, ...shown.boxes.map(litBox), ...(shown.words ? [hiddenText(`Marked: ${shown.words}`)] : []));
    } catch (error) {
      sheet.classList.remove("shown");
      sheet.replaceChildren(el("p", { class: "warning" }, error.message));
      throw error;
    }
  }
}

function litBox([left, top, width, height]) {
  const box = el("div", { class: "lit" });
  Object.assign(box.style, { left: `${left * 100}%`, top: `${top * 100}%`, width: `${width * 100}%`, height: `${height * 100}%` });
  return box;
}
