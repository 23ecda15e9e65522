// What was found for a question: the clues of memory, and the passages, with what found each.

import { button, el, pageOf, plural } from "./dom.js";

const KINDS = { span: "words of the text", attended: "attended to", question: "to look up", answer: "memory's own answer" };

// Places to open, each in a context of its own where several were asked.
export function placesOf(record, found) {
  return found.map((one) => ({ ...one, context_id: one.context_id ?? record.contexts[0], why: whyOf(record, one) }));
}

export function drawClues(app, record) {
  const items = record.clues.map((clue) => {
    const [place] = clue.place ? placesOf(record, [{ title: "", ...clue.place }]) : [];
    const text = place ? button(clue.text, () => app.open(place), { class: "link" }) : el("span", {}, clue.text);
    return el("li", {}, text, el("small", {}, ` ${KINDS[clue.kind] ?? clue.kind}`));
  });
  return el("details", {}, el("summary", {}, plural(items.length, "clue")), el("ul", { class: "clues" }, items));
}

export function drawPassages(app, record, open) {
  const places = placesOf(record, record.passages);
  const items = places.map((place) =>
    el(
      "li",
      {},
      button("", () => app.open(place, places), { class: "passage" }, ...card(record, place)),
    ),
  );
  const list = el("ol", { class: "passages" }, items);
  return el("details", { open }, el("summary", {}, plural(items.length, "passage")), list);
}

function card(record, place) {
  const under = [place.title, ...place.headings, place.date, place.speaker];
  const where = [record.contexts.length > 1 && place.context_id, ...under, pageOf(place)];
  return [
    el("span", { class: "where" }, where.filter(Boolean).join(" › ")),
    el("span", { class: "excerpt" }, place.text),
    el("small", {}, place.why),
  ];
}

// What found a passage, or the passage in which a quote stands, and its score.
function whyOf(record, place) {
  const passages = record.passages ?? [];
  const inside = (passage) => passage.document_id === place.document_id && passage.start <= place.start && place.start < passage.end;
  const passage = place.found_by ? place : passages.find(inside);
  if (!passage) return "";
  const clues = passage.found_by.filter((query) => query !== record.question);
  const by = [clues.length < passage.found_by.length && "the question", clues.length && plural(clues.length, "clue")];
  return `Found by ${by.filter(Boolean).join(" and ") || "its section's title"} · score ${passage.score.toPrecision(3)}`;
}
