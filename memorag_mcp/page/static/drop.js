// Takes files that are dropped anywhere on the page, or chosen: they are handed over piece by piece, then memorized.

import { button, el, plural, say } from "./dom.js";

const PIECE = 768 * 1024;

export class DropZone {
  constructor(app) {
    this.app = app;
    this.fates = el("ul", { class: "fates", "aria-label": "Files" });
    this.where = el("select", { id: "where", "aria-label": "Memorize into" });
    const files = chooser({ multiple: true }, (chosen) => this.take(chosen));
    const folder = chooser({ webkitdirectory: true }, (chosen) => this.take(chosen));
    this.node = el(
      "div",
      { class: "drop" },
      el("p", {}, "Drop files or a folder here"),
      el("div", { class: "row" }, button("Files …", () => files.click()), button("Folder …", () => folder.click()), files, folder),
      el("label", { class: "hint" }, "into ", this.where),
      this.fates,
    );
    this.#listen();
    this.showContexts([]);
  }

  showContexts(contexts) {
    const before = this.where.value;
    this.where.replaceChildren(
      el("option", { value: "" }, "a new context"),
      ...contexts.map((context) => el("option", { value: context.context_id }, context.title)),
    );
    if (contexts.some((context) => context.context_id === before)) this.where.value = before;
  }

  // Hands over files, each as { name, file }, and follows the memorizing of them.
  async take(files) {
    if (!files.length) return say("There is no file in that.");
    const rows = new Map(files.map(({ name }) => [name, el("li", {}, el("b", {}, name), el("small", {}, " waits"))]));
    this.fates.replaceChildren(...rows.values());
    const tell = (name, text) => rows.get(name)?.querySelector("small").replaceChildren(` ${text}`);
    try {
      let upload_id = "";
      for (const { name, file } of files) upload_id = await this.#handOver(name, file, upload_id, tell);
      const job = await this.app.client.call("memorize_upload", { upload_id, add_to: this.where.value, wait_seconds: 0 });
      files.forEach(({ name }) => tell(name, "is being memorized"));
      await this.app.library.followJob(job, (end) => this.#tellFates(end, files, tell));
    } catch (error) {
      files.forEach(({ name }) => tell(name, error.message));
      say(error.message);
    }
  }

  async #handOver(name, file, upload_id, tell) {
    for (let at = 0; at === 0 || at < file.size; at += PIECE) {
      const data = await base64Of(file.slice(at, at + PIECE));
      ({ upload_id } = await this.app.client.call("upload_part", { name, data, ...(upload_id ? { upload_id } : {}) }));
      tell(name, `${Math.min(100, Math.floor(((at + PIECE) / Math.max(1, file.size)) * 100))} % handed over`);
    }
    return upload_id;
  }

  #tellFates(end, files, tell) {
    if (end.status !== "completed") return files.forEach(({ name }) => tell(name, `${end.status}. ${end.reason ?? ""}`));
    const left = end.context.left_out;
    files.forEach(({ name }) => tell(name, left[name] ? `was not read: ${left[name]}` : "is memorized"));
    const many = Object.keys(left).length;
    say(`${end.context.title} is memorized${many ? `; ${plural(many, "file")} could not be read` : ""}.`);
  }

  #listen() {
    const over = (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      document.body.classList.toggle("dropping", event.type !== "dragleave" || event.relatedTarget !== null);
    };
    for (const type of ["dragenter", "dragover", "dragleave"]) document.addEventListener(type, over);
    document.addEventListener("drop", async (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      this.app.show("library");
      const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
      const loose = [...event.dataTransfer.files].map((file) => ({ name: file.name, file }));
      await this.take(entries.length ? (await Promise.all(entries.map(filesBelow))).flat() : loose);
    });
  }
}

// All files of an entry that was dropped, by their paths from it on.
async function filesBelow(entry) {
  const name = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) return [{ name, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map(filesBelow))).flat());
  }
}

function chooser(kind, take) {
  const input = el("input", { type: "file", hidden: true, "aria-hidden": "true", tabindex: "-1", ...kind });
  input.addEventListener("change", () => {
    const files = [...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
    input.value = "";
    take(files);
  });
  return input;
}

function base64Of(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(new Error("The browser cannot read that file.")));
    reader.readAsDataURL(blob);
  });
}
