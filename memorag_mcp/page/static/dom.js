// Makes elements. All text, of documents above all, becomes text nodes; nothing here or elsewhere parses HTML.

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function button(label, onClick, props = {}, ...children) {
  return el("button", { type: "button", ...props, on: { click: onClick } }, label, ...children);
}

export function hiddenText(text) {
  return el("span", { class: "only-heard" }, text);
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export function duration(seconds) {
  const [minutes, rest] = [Math.floor(seconds / 60), Math.round(seconds % 60)];
  return minutes ? `${minutes} min ${rest} s` : `${rest} s`;
}

export function pageOf(place) {
  if (!place.page) return "";
  return place.last_page && place.last_page !== place.page ? `pp. ${place.page}–${place.last_page}` : `p. ${place.page}`;
}

export function say(text) {
  document.querySelector(".status").textContent = text;
}
