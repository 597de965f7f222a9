// The strip on top: last price, change, high, low, volume; and the tab's title.

import { Decimal } from "./decimal.js";
import { change, padded } from "./numbers.js";
import { part, writeText } from "./paint.js";

const ARROWS = { up: "▲", down: "▼", flat: "" };

export class Ticker {
  #market;
  #strip = document.getElementById("ticker");
  #last;

  constructor(market) {
    this.#market = market;
  }

  paint(ticker) {
    const { price_digits: priceDigits, amount_digits: amountDigits } = this.#market;
    const price = (text) => (text === null ? "–" : padded(text, priceDigits));
    const moved = change(ticker.open, ticker.last);
    this.#write("last", price(ticker.last));
    this.#write("arrow", ARROWS[moved.direction]);
    this.#write("change", moved.text);
    this.#write("high", price(ticker.high));
    this.#write("low", price(ticker.low));
    const volume = ticker.volume ?? "0.0";
    this.#write("volume", padded(volume, amountDigits));
    this.#strip.dataset.direction = moved.direction;
    this.#title(ticker.last, price);
  }

  #title(last, price) {
    if (last === null || last === this.#last) return;
    if (this.#last) this.#move(Decimal.of(last).compare(Decimal.of(this.#last)));
    this.#last = last;
    document.title = `${price(last)} ${this.#market.name} · Pixiu`;
    writeText(document.getElementById("last-in-book"), price(last));
  }

  // Between the asks and the bids stands where the price went last.
  #move(order) {
    const direction = order < 0 ? "down" : "up";
    const place = document.getElementById("last-move");
    writeText(place, ARROWS[direction]);
    place.closest("[data-direction]").dataset.direction = direction;
  }

  #write(name, text) {
    writeText(part(this.#strip, name), text);
  }
}
