// An answer: its sentences, each marked as borne out or not, numbers that lead to the quotes, and the quotes.

import { button, el, hiddenText, pageOf, plural } from "./dom.js";
import { placesOf } from "./evidence.js";

const MARKS = {
  "borne out": { name: "borne", sign: "✓", told: "borne out by the text" },
  "words found": { name: "words", sign: "≈", told: "its words stand in the text; read the quotes" },
  "not found": { name: "unfound", sign: "?", told: "not found in the text" },
};

export function drawAnswer(app, record, node) {
  const { answer } = record;
  const places = placesOf(record, answer.citations);
  const go = (number) => app.open(places[number - 1], places);
  const text = el("p", { class: "text" }, sentencesOf(answer, go));
  node.append(text, ...(answer.claims.length ? [legend(answer.claims)] : []));
  if (answer.note) node.append(el("p", { class: "warning note" }, answer.note));
  if (answer.citations.length) node.append(quotes(answer.citations, go));
}

// The answer's text with its claims marked where they stand in it; what is no claim stays plain.
function sentencesOf(answer, go) {
  const parts = [];
  let at = 0;
  for (const claim of answer.claims) {
    const found = answer.text.indexOf(claim.text, at);
    if (found >= 0) parts.push(answer.text.slice(at, found));
    parts.push(sentence(claim, go));
    at = found >= 0 ? found + claim.text.length : at;
  }
  return [...parts, answer.text.slice(at)];
}

function sentence(claim, go) {
  const mark = MARKS[claim.support];
  const numbers = claim.quotes.map((number) => citation(number, () => go(number)));
  const sign = el("span", { class: "sign", "aria-hidden": "true", title: mark.told }, mark.sign);
  return el("span", { class: `claim ${mark.name}` }, el("span", { class: "words-of" }, claim.text), sign, hiddenText(` (${mark.told}) `), numbers);
}

function citation(number, onClick) {
  return button(String(number), onClick, { class: "number", "aria-label": `Source ${number}` });
}

function legend(claims) {
  const counts = Object.entries(MARKS).map(([support, mark]) => ({ support, mark, count: claims.filter((claim) => claim.support === support).length }));
  return el(
    "p",
    { class: "legend hint" },
    `${plural(claims.length, "sentence")}: `,
    counts.filter(({ count }) => count).map(({ support, mark, count }) => el("span", { class: mark.name }, el("span", { class: "sign", "aria-hidden": "true" }, mark.sign), ` ${count} ${support} `)),
  );
}

function quotes(citations, go) {
  const items = citations.map((one, index) =>
    el(
      "li",
      {},
      citation(index + 1, () => go(index + 1)),
      el("blockquote", {}, one.quote),
      el("small", { class: "place" }, [one.title, pageOf(one)].filter(Boolean).join(" · ")),
    ),
  );
  return el("ol", { class: "quotes", "aria-label": "Quotes" }, items);
}
