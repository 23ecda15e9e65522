// Keeps the turns of the conversation over a reload: in this browser, or, where there is a token, in this tab alone.

const KEY = "memorag.history";
const MOST = 50;

export class History {
  constructor(client) {
    this.client = client;
    this.turns = this.#read();
  }

  add(turn) {
    this.turns = [...this.turns, turn].slice(-MOST);
    this.#write();
  }

  remove(turn) {
    this.turns = this.turns.filter((other) => other !== turn);
    this.#write();
  }

  #places() {
    if (this.client.inHost) return [];
    return this.client.hasToken ? [sessionStorage] : [localStorage];
  }

  #read() {
    try {
      return this.#places().flatMap((place) => JSON.parse(place.getItem(KEY) ?? "[]"));
    } catch {
      return []; // what an older page left there
    }
  }

  #write() {
    for (const place of this.#places()) {
      while (this.turns.length) {
        try {
          return place.setItem(KEY, JSON.stringify(this.turns));
        } catch {
          this.turns = this.turns.slice(1); // the browser's room for it is full: the oldest goes
        }
      }
      place.removeItem(KEY);
    }
  }
}
