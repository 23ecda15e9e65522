// Speaks MCP to the server that the page came from: one request for each call, without a session.

import { askToken } from "./token.js";
import { messagesOf } from "./stream.js";

const VERSION = "2026-07-28";
const META = {
  "io.modelcontextprotocol/protocolVersion": VERSION,
  "io.modelcontextprotocol/clientInfo": { name: "memorag-page", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {
    extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] } },
  },
};
const TOKEN = "memorag.token";

export class HttpClient {
  #last = 0;

  get inHost() {
    return false;
  }

  // Whether others may use this browser's page as somebody else: then nothing is kept beyond the tab.
  get hasToken() {
    return sessionStorage.getItem(TOKEN) !== null;
  }

  // Calls a tool; `onPiece` hears the pieces of a text as it is written. Rejects with what went wrong, in words.
  async call(name, args, { onPiece, signal } = {}) {
    const meta = onPiece ? { progressToken: ++this.#last } : {};
    const result = await this.#request("tools/call", name, { name, arguments: args }, meta, { onPiece, signal });
    return resultOf(result);
  }

  async read(uri, options = {}) {
    const result = await this.#request("resources/read", uri, { uri }, {}, options);
    return result.contents[0].text;
  }

  async #request(method, name, params, meta, { onPiece, signal }) {
    const id = ++this.#last;
    const body = JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: { ...META, ...meta } } });
    const response = await this.#post(method, name, body, signal);
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return unwrap(await json(response));
    for await (const message of messagesOf(response)) {
      if (message.id === id) return unwrap(message);
      if (message.method === "notifications/progress") onPiece?.(message.params.message ?? "");
    }
    throw new Error("The server ended before it had answered. Ask again.");
  }

  async #post(method, name, body, signal) {
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": VERSION,
      "mcp-method": method,
      "mcp-name": name,
    };
    for (let refused = false; ; refused = true) {
      const token = sessionStorage.getItem(TOKEN);
      if (token) headers.authorization = `Bearer ${token}`;
      const response = await fetch("mcp", { method: "POST", headers, body, signal }).catch((error) => {
        throw error.name === "AbortError" ? error : new Error("The server cannot be reached. Is it running?");
      });
      if (response.status !== 401) return response;
      if (token === sessionStorage.getItem(TOKEN)) sessionStorage.setItem(TOKEN, await askToken(refused || token !== null));
    }
  }
}

export function resultOf(result) {
  if (result.isError) throw new Error(result.content?.[0]?.text ?? "The tool failed.");
  const image = result.content?.find((block) => block.type === "image");
  return image ? { ...result.structuredContent, image } : result.structuredContent;
}

async function json(response) {
  try {
    return await response.json();
  } catch {
    throw new Error(`The server refused that (${response.status}).`);
  }
}

function unwrap(message) {
  if (message.error) throw new Error(message.error.message ?? String(message.error));
  return message.result;
}
