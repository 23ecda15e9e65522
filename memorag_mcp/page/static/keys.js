// Keys: / asks, ] and [ go to the next and previous passage, Escape leaves the source on a narrow window.

export function listenToKeys(app) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return app.show("talk");
    if (event.target.closest("input, textarea, select, dialog")) return;
    const act = { "/": () => app.talk.focus(), "]": () => app.source.step(1), "[": () => app.source.step(-1) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
