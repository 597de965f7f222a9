// Paints the order book: two tables, best prices in the middle, and the spread.

import { Decimal, ZERO } from "./decimal.js";
import { fillSlots, write, writeText } from "./paint.js";
import { say } from "./words.js";

const LEVELS_SHOWN = 50;
const LEVELS_COMPARED = 20; // a bar is full at the depth that most windows show
const FLASH_MS = 180;
const FLASH_PAUSE_MS = 400; // never more than three flashes a second
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class BookView {
  #book;
  #market;
  #section = document.getElementById("book");
  #template = document.getElementById("level-row");
  #bodies = {
    sell: document.getElementById("asks"),
    buy: document.getElementById("bids"),
  };
  #shares = new WeakMap();
  #flashed = new WeakMap();
  #flashing = new Set();

  /** `onPick({side, price, amount})`: somebody wants this price, or to sweep to it. */
  constructor(book, market, onPick) {
    this.#book = book;
    this.#market = market;
    this.#section.addEventListener("click", (event) => this.#pick(event, onPick));
    this.#section.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Paint the book, marking the levels at which this member has orders. */
  paint(ownPrices) {
    const asks = this.#book.levels("sell", LEVELS_SHOWN);
    const bids = this.#book.levels("buy", LEVELS_SHOWN);
    const deepest = [asks, bids]
      .flatMap((levels) => levels.slice(0, LEVELS_COMPARED).slice(-1))
      .map((level) => level.total)
      .reduce((one, other) => (one.compare(other) > 0 ? one : other), ZERO);
    // Asks stand on their heads: the best one is nearest to the spread.
    this.#side("sell", asks.reverse(), deepest, ownPrices);
    this.#side("buy", bids, deepest, ownPrices);
    this.#spread();
  }

  #side(side, levels, deepest, ownPrices) {
    const { price_digits: priceDigits, amount_digits: amountDigits } = this.#market;
    const fill = (row, level, isSame) => {
      write(row, "price", level.price.floorText(priceDigits));
      const changed = write(row, "amount", level.amount.floorText(amountDigits));
      write(row, "total", level.total.floorText(amountDigits));
      const isFull = level.total.compare(deepest) >= 0;
      const share = isFull ? "1" : level.total.over(deepest, 2).toString();
      if (this.#shares.get(row) !== share) {
        this.#shares.set(row, share);
        row.style.setProperty("--share", share);
      }
      row.classList.toggle("own", ownPrices.has(`${side} ${level.key}`));
      if (changed && isSame) this.#flash(row);
    };
    const fromEnd = side === "sell";
    fillSlots(this.#bodies[side], levels, this.#template, fill, { fromEnd });
    this.#keepOneTabStop(side);
  }

  #spread() {
    const spread = this.#book.spread();
    const text = spread
      ? `${spread.gap.floorText(this.#market.price_digits)} · ${spread.percent} %`
      : "–";
    writeText(document.getElementById("spread"), text);
    document.getElementById("book-empty").hidden =
      this.#bodies.sell.rows.length + this.#bodies.buy.rows.length > 0;
  }

  // Two steps, not a fade: a fade would repaint every row in every frame of it.
  #flash(row) {
    const now = performance.now();
    if (calm.matches || now - (this.#flashed.get(row) ?? -Infinity) < FLASH_PAUSE_MS) {
      return;
    }
    this.#flashed.set(row, now);
    row.classList.add("flash");
    if (this.#flashing.size === 0) setTimeout(() => this.#calm(), FLASH_MS);
    this.#flashing.add(row);
  }

  #calm() {
    for (const row of this.#flashing) row.classList.remove("flash");
    this.#flashing.clear();
  }

  // Hundreds of prices are one stop of the Tab key; the arrows walk inside.
  #keepOneTabStop(side) {
    const buttons = this.#prices(side);
    const best = side === "sell" ? buttons.at(-1) : buttons[0];
    for (const button of buttons) {
      const wanted = button === best ? 0 : -1;
      if (button.tabIndex !== wanted) button.tabIndex = wanted;
    }
  }

  #prices(side) {
    return [...this.#bodies[side].querySelectorAll("button")];
  }

  #move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches("button[data-cell=price]")) return;
    event.preventDefault();
    const all = [...this.#prices("sell"), ...this.#prices("buy")];
    all[all.indexOf(event.target) + step]?.focus();
  }

  #pick(event, onPick) {
    const row = event.target.closest("tr[data-key]");
    if (!row) return;
    const side = row.parentElement === this.#bodies.sell ? "sell" : "buy";
    const isSweep = event.target.closest("[data-cell=amount], [data-cell=total]");
    const levels = this.#book.levels(side, LEVELS_SHOWN);
    const level = levels.find(({ key }) => key === row.dataset.key);
    const price = level?.price ?? Decimal.of(row.dataset.key);
    onPick({ side, price, amount: isSweep ? (level?.total ?? null) : null });
  }
}

/** Say where the book stands: "live" shows it plainly, anything else veils it. */
export function veil(state) {
  const section = document.getElementById("book");
  section.dataset.state = state;
  document.getElementById("book-veil").textContent =
    state === "live" ? "" : say(`veil-${state}`);
}
