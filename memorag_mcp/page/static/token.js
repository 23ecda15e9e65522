// Asks for the token of a team's server, once for all calls that wait for it. It is kept for the tab alone.

import { button, el } from "./dom.js";

let asking = null;

export function askToken(wasRefused) {
  asking ??= openDialog(wasRefused).finally(() => {
    asking = null;
  });
  return asking;
}

function openDialog(wasRefused) {
  return new Promise((resolve) => {
    const input = el("input", { type: "password", id: "token", autocomplete: "off", required: true, spellcheck: "false" });
    const accept = () => {
      if (!input.value.trim()) return;
      dialog.remove();
      resolve(input.value.trim());
    };
    const dialog = el(
      "dialog",
      { class: "token", "aria-labelledby": "token-title", on: { cancel: (event) => event.preventDefault() } },
      el("h2", { id: "token-title" }, "This server asks for a token"),
      wasRefused && el("p", { class: "warning", role: "alert" }, "That token does not hold. Check it, or ask for a new one."),
      el("p", {}, "Whoever runs it made one for you with `memorag token add`. It is kept until this tab is closed."),
      el("label", { for: "token" }, "Token"),
      input,
      button("Go in", accept, { class: "main" }),
    );
    input.addEventListener("keydown", (event) => event.key === "Enter" && accept());
    document.body.append(dialog);
    dialog.showModal();
  });
}
