// Long work that is under way, or ended badly: how far it is, how long it may take yet, and how to stop it.

import { button, duration, el, say } from "./dom.js";

const SECONDS_A_LOOK = 1;

export class JobList {
  constructor(app) {
    this.app = app;
    this.node = el("ul", { class: "jobs", "aria-label": "Under way" });
    this.rows = new Map();
  }

  show(jobs) {
    const told = new Set(jobs.map(keyOf));
    for (const [key, row] of this.rows) if (!told.has(key) && !row.follows) this.#remove(key);
    jobs.forEach((job) => this.follow(job));
  }

  // Shows a job, and goes on asking about it until it has ended; gives its end.
  async follow(job) {
    const key = keyOf(job);
    const row = this.rows.get(key) ?? this.#add(key);
    this.#draw(row, key, job);
    if (row.follows || job.status !== "working") return job;
    row.follows = true;
    try {
      while (job.status === "working") {
        job = await this.app.client.call("memorize_status", { job_id: key, wait_seconds: SECONDS_A_LOOK });
        this.#draw(row, key, job);
      }
    } catch (error) {
      job = { ...job, status: "failed", reason: error.message };
      this.#draw(row, key, job);
    }
    row.follows = false;
    if (job.status === "completed") this.#remove(key);
    await this.app.library.refresh();
    return job;
  }

  #add(key) {
    const row = { node: el("li"), follows: false };
    this.rows.set(key, row);
    this.node.append(row.node);
    return row;
  }

  #remove(key) {
    this.rows.get(key)?.node.remove();
    this.rows.delete(key);
  }

  #draw(row, key, job) {
    if (job.status === "working") return this.#drawProgress(row, key, job);
    if (job.status === "completed") return;
    const resumable = job.status === "interrupted" && job.job_id;
    const again = button("Resume", () => this.#act("resume_memorize", { job_id: key, wait_seconds: 0 }));
    const give = button("Give up", () => this.#act("cancel_memorize", { job_id: key }), { class: "quiet" });
    const drop = button("Dismiss", () => this.#remove(key), { class: "quiet" });
    const told = el("small", { class: "warning" }, `${job.status}: ${job.reason ?? ""}`);
    row.node.replaceChildren(el("b", {}, job.what), told, el("div", { class: "row" }, ...(resumable ? [again, give] : [drop])));
  }

  #drawProgress(row, key, job) {
    row.bar ??= el("progress", { max: "1", "aria-label": job.what });
    row.text ??= el("small");
    const left = job.seconds_left ? ` · about ${duration(job.seconds_left)} left` : "";
    row.bar.value = job.progress;
    row.text.textContent = `${job.stage} · ${Math.floor(job.progress * 100)} %${left}`;
    if (row.bar.isConnected) return;
    const cancel = button("Cancel", () => this.#act("cancel_memorize", { job_id: key }));
    row.node.replaceChildren(el("b", {}, job.what), row.bar, row.text, cancel);
  }

  async #act(tool, args) {
    try {
      await this.follow(await this.app.client.call(tool, args));
      await this.app.library.refresh();
    } catch (error) {
      say(error.message);
    }
  }
}

function keyOf(job) {
  return job.job_id ?? `${job.what}: ${job.reason}`;
}
