// Speaks to the host that shows the page inside a conversation: MCP Apps, JSON-RPC by messages to the window above.

import { resultOf } from "./http_client.js";

const APPS_VERSION = "2026-01-26";
const INLINE_HEIGHT = 620;

export class HostClient {
  #last = 0;
  #waiting = new Map();

  // `on` hears what the host tells: toolInput(arguments), toolResult(result), context(hostContext).
  constructor(on) {
    this.on = on;
    window.addEventListener("message", (event) => event.source === window.parent && this.#hear(event.data));
  }

  get inHost() {
    return true;
  }

  get hasToken() {
    return false;
  }

  async connect() {
    const { hostContext } = await this.#request("ui/initialize", {
      protocolVersion: APPS_VERSION,
      appInfo: { name: "memorag-page", version: "1" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    });
    this.context = hostContext ?? {};
    this.on.context(this.context);
    this.#notify("ui/notifications/initialized", {});
    const fixed = this.context.containerDimensions && "height" in this.context.containerDimensions;
    if (!fixed) this.#notify("ui/notifications/size-changed", { width: innerWidth, height: INLINE_HEIGHT });
  }

  async call(name, args, { signal } = {}) {
    return resultOf(await this.#request("tools/call", { name, arguments: args }, signal));
  }

  async read(uri, { signal } = {}) {
    return (await this.#request("resources/read", { uri }, signal)).contents[0].text;
  }

  // Tells the model, for its next turn, what the user looks at.
  tellModel(text) {
    this.#request("ui/update-model-context", { content: [{ type: "text", text }] }).catch(() => {}); // it need not listen
  }

  get canFill() {
    return this.context.availableDisplayModes?.includes("fullscreen") ?? false;
  }

  fill() {
    return this.#request("ui/request-display-mode", { mode: this.context.displayMode === "fullscreen" ? "inline" : "fullscreen" });
  }

  #request(method, params, signal) {
    const id = ++this.#last;
    window.parent.postMessage({ jsonrpc: "2.0", id, method, params }, "*"); // the host's origin is not ours to know
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      signal?.addEventListener("abort", () => reject(new DOMException("Stopped", "AbortError")));
    });
  }

  #notify(method, params) {
    window.parent.postMessage({ jsonrpc: "2.0", method, params }, "*");
  }

  #hear(message) {
    if (message?.jsonrpc !== "2.0") return;
    if (!message.method) return this.#settle(message);
    if (message.method === "ui/notifications/tool-input") this.on.toolInput(message.params.arguments ?? {});
    if (message.method === "ui/notifications/tool-result") this.on.toolResult(message.params);
    if (message.method === "ui/notifications/tool-cancelled") this.on.toolCancelled(message.params?.reason ?? "");
    if (message.method === "ui/notifications/host-context-changed") {
      this.context = { ...this.context, ...message.params };
      this.on.context(this.context);
    }
    if (message.id !== undefined) this.#answer(message);
  }

  #answer({ id, method }) {
    const known = ["ping", "ui/resource-teardown"].includes(method);
    const error = { code: -32601, message: `The page knows no ${method}.` };
    window.parent.postMessage({ jsonrpc: "2.0", id, ...(known ? { result: {} } : { error }) }, "*");
  }

  #settle({ id, result, error }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new Error(error.message ?? "The host refused that."));
    else waiting?.resolve(result);
  }
}
