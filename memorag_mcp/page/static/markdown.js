// An answer as Markdown, with its quotes and where they stand.

import { pageOf } from "./dom.js";

export function answerAsMarkdown(turn) {
  const { answer } = turn;
  const quotes = answer.citations.map((citation, number) => quoteAsMarkdown(citation, number + 1));
  const note = answer.note ? [`*${escape(answer.note)}*`] : [];
  return [`**${escape(turn.question)}**`, sentences(answer), ...note, ...quotes].join("\n\n") + "\n";
}

function sentences(answer) {
  if (!answer.claims.length) return escape(answer.text);
  return answer.claims
    .map((claim) => escape(claim.text) + claim.quotes.map((number) => ` [${number}]`).join("") + support(claim.support))
    .join(" ");
}

function support(kind) {
  return kind === "borne out" ? "" : ` (${kind})`;
}

function quoteAsMarkdown(citation, number) {
  const lines = escape(citation.quote).split("\n").map((line) => `> ${line}`).join("\n");
  const place = [escape(citation.title), pageOf(citation), `characters ${citation.start}–${citation.end}`];
  return `[${number}]\n${lines}\n>\n> — ${place.filter(Boolean).join(", ")}`;
}

function escape(text) {
  return text.replace(/[\\`*_[\]<>#|~]/g, (mark) => `\\${mark}`);
}
