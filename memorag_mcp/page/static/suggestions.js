// Questions to ask next of a context: those that its memory recalls, else one of each section that comes up first, else
// one of each name that comes up most.

import { button, el } from "./dom.js";

const SUGGESTED = 3;
const ABOUT = "What is this text about?";
const NAME = /(?<=\p{Ll},? )\p{Lu}\p{L}+(?: \p{Lu}\p{L}+)*/gu; // within a sentence, where a capital is no beginning

export async function suggest(client, context_id) {
  const { clues, passages } = await client.call("retrieve_evidence", { context_id, question: ABOUT });
  const recalled = clues.filter((clue) => clue.kind === "question").map((clue) => clue.text);
  const sections = passages.flatMap((passage) => passage.headings.slice(-1)).map((heading) => `What is said under “${heading}”?`);
  const names = mostNamed(passages.map((passage) => passage.text).join("\n")).map((name) => `What is said about ${name}?`);
  return [...new Set([...recalled, ...sections, ...names])].slice(0, SUGGESTED);
}

function mostNamed(text) {
  const times = new Map();
  for (const [name] of text.matchAll(NAME)) times.set(name, (times.get(name) ?? 0) + 1);
  return [...times.keys()].sort((one, other) => times.get(other) - times.get(one));
}

export function drawSuggestions(questions, ask) {
  const items = questions.map((question) => el("li", {}, button(question, () => ask(question), { class: "link" })));
  return el("div", { class: "next" }, el("h3", {}, "Ask next"), el("ul", {}, items));
}
