// Questions to ask next of a context: those that its memory recalls, else one of each section that comes up first.

import { button, el } from "./dom.js";

const SUGGESTED = 3;
const ABOUT = "What is this text about?";

export async function suggest(client, context_id) {
  const { clues, passages } = await client.call("retrieve_evidence", { context_id, question: ABOUT });
  const recalled = clues.filter((clue) => clue.kind === "question").map((clue) => clue.text);
  const sections = passages.flatMap((passage) => passage.headings.slice(-1)).map((heading) => `What is said under “${heading}”?`);
  return [...new Set([...recalled, ...sections])].slice(0, SUGGESTED);
}

export function drawSuggestions(questions, ask) {
  const items = questions.map((question) => el("li", {}, button(question, () => ask(question), { class: "link" })));
  return el("div", { class: "next" }, el("h3", {}, "Ask next"), el("ul", {}, items));
}
