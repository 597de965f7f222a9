// The market's latest trades, newest first.

import { padded, timeOfDay } from "./numbers.js";
import { fillSlots, write } from "./paint.js";

const TRADES_SHOWN = 50;
const ARROWS = { buy: "▲", sell: "▼" };

export class Trades {
  #market;
  #trades = [];
  #body = document.getElementById("trades-rows");
  #template = document.getElementById("trade-row");

  constructor(market) {
    this.#market = market;
  }

  get lastId() {
    return this.#trades[0]?.id ?? 0;
  }

  load(newestFirst) {
    this.#trades = newestFirst.slice(0, TRADES_SHOWN);
  }

  /** Take trades in the order they happened; return those we did not have. */
  add(oldestFirst) {
    const fresh = oldestFirst.filter((trade) => trade.id > this.lastId);
    this.#trades = [...fresh.toReversed(), ...this.#trades].slice(0, TRADES_SHOWN);
    return fresh;
  }

  paint() {
    const { price_digits: priceDigits, amount_digits: amountDigits } = this.#market;
    const items = this.#trades.map((trade) => ({ key: trade.id, ...trade }));
    fillSlots(this.#body, items, this.#template, (row, trade, isSame) => {
      if (isSame && row.dataset.painted) return;
      row.dataset.painted = "yes"; // the server wrote the time in UTC
      const side = `trade ${trade.side}`;
      if (row.className !== side) row.className = side;
      write(row, "arrow", ARROWS[trade.side]);
      write(row, "price", padded(trade.price, priceDigits));
      write(row, "amount", padded(trade.amount, amountDigits));
      write(row, "time", timeOfDay(trade.at));
    });
    document.getElementById("trades-empty").hidden = items.length > 0;
  }
}
