// The order book as the page knows it: a snapshot, then numbered updates.
//
// No DOM in here. Both sides are kept best first. An update that does not follow on
// the last one is refused: the caller must fetch a new snapshot, never guess.

import { Decimal, ZERO } from "./decimal.js";

// As many levels of a side as a snapshot holds at most: LEVELS in markets/page_data.py.
const LEVELS_SENT = 200;
// A side of which we know only the best levels is asked for anew below this many.
const LEVELS_MIN = 20;

export class Book {
  #sides = { buy: [], sell: [] };
  // The deepest price we were told of, where the snapshot did not hold everything.
  #ends = { buy: null, sell: null };
  seq = null;

  load({ seq, bids, asks, levels = LEVELS_SENT }) {
    this.seq = seq;
    this.#sides = { buy: bids.map(level), sell: asks.map(level) };
    for (const side of ["buy", "sell"]) {
      const known = this.#sides[side];
      this.#ends[side] = known.length < levels ? null : known.at(-1).price;
    }
  }

  /** Take an update; false when one was missed and the book is not what it was. */
  apply({ prev, seq, book }) {
    if (seq <= this.seq) return true; // older than our snapshot: it is in there
    if (prev !== this.seq) return false;
    this.seq = seq;
    return book.every(([side, price, amount]) =>
      this.#set(side, Decimal.of(price), Decimal.of(amount)),
    );
  }

  /** The best levels of a side, with the amount up to and including each. */
  levels(side, count) {
    let total = ZERO;
    return this.#sides[side].slice(0, count).map(({ price, amount }) => {
      total = total.plus(amount);
      return { key: price.toString(), price, amount, total };
    });
  }

  best(side) {
    return this.#sides[side][0]?.price ?? null;
  }

  /** The gap between the best prices, and that gap in percent of the ask. */
  spread() {
    const [bid, ask] = [this.best("buy"), this.best("sell")];
    if (!bid || !ask) return null;
    const gap = ask.minus(bid);
    return { gap, percent: gap.times(Decimal.of("100")).over(ask, 3) };
  }

  /**
   * What a taker would trade at the moment: up to `amount` in base, or up to `funds`
   * in quote, in whole lots, not beyond `limit` where one is given. `isWhole` says
   * whether the book holds enough for that.
   */
  sweep(side, { amount = null, funds = null, limit = null, lot }) {
    let [traded, spent, isWhole] = [ZERO, ZERO, false];
    for (const level of this.#sides[side === "buy" ? "sell" : "buy"]) {
      if (limit && isBeyond(side, level.price, limit)) break;
      const left = amount
        ? amount.minus(traded)
        : funds.minus(spent).over(level.price, lot.scale).floorTo(lot);
      isWhole = left.compare(level.amount) <= 0;
      const size = isWhole ? left : level.amount;
      traded = traded.plus(size);
      spent = spent.plus(size.times(level.price));
      if (isWhole) break;
    }
    return { amount: traded, funds: spent, isWhole };
  }

  #set(side, price, amount) {
    const levels = this.#sides[side];
    const end = this.#ends[side];
    if (end && isWorse(side, price, end)) return true; // deeper than we look
    const index = position(levels, side, price);
    const isKnown = levels[index]?.price.compare(price) === 0;
    if (amount.isZero) {
      if (isKnown) levels.splice(index, 1);
      // Of the deeper levels we know only that there are some.
      return levels.length >= LEVELS_MIN || !end;
    }
    levels.splice(index, isKnown ? 1 : 0, { price, amount });
    return true;
  }
}

function level([price, amount]) {
  return { price: Decimal.of(price), amount: Decimal.of(amount) };
}

function isWorse(side, price, than) {
  const order = price.compare(than);
  return side === "buy" ? order < 0 : order > 0;
}

function isBeyond(side, price, limit) {
  const order = price.compare(limit);
  return side === "buy" ? order > 0 : order < 0;
}

function position(levels, side, price) {
  let [low, high] = [0, levels.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isWorse(side, price, levels[middle].price)) low = middle + 1;
    else high = middle;
  }
  return low;
}
