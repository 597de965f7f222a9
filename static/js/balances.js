// What this member has of the market's two currencies.

import { Decimal, ZERO } from "./decimal.js";
import { padded } from "./numbers.js";
import { part, writeText } from "./paint.js";

export class Balances {
  #market;
  #balances = new Map();

  constructor(market) {
    this.#market = market;
  }

  update(balances) {
    for (const balance of balances) this.#balances.set(balance.currency, balance);
  }

  available(currency) {
    const balance = this.#balances.get(currency);
    return balance ? Decimal.of(balance.available) : ZERO;
  }

  paint() {
    this.#write(this.#market.base, this.#market.amount_digits);
    this.#write(this.#market.quote, this.#market.price_digits);
  }

  #write(currency, digits) {
    const balance = this.#balances.get(currency);
    if (!balance) return;
    const row = document.querySelector(`#balances [data-key="${currency}"]`);
    for (const pocket of ["available", "locked"]) {
      writeText(part(row, pocket), padded(balance[pocket], digits));
    }
  }
}
