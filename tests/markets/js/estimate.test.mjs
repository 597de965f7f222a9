import assert from "node:assert/strict";
import { test } from "node:test";

import { Book } from "../../../static/js/book.js";
import { Decimal } from "../../../static/js/decimal.js";
import { estimate } from "../../../static/js/estimate.js";

const MARKET = { maker_fee: "0.001", taker_fee: "0.002", collar: "0.05" };
const LOT = Decimal.of("0.0001");

function found(terms) {
  const book = new Book();
  book.load({ seq: 1, bids: [["100.0", "1.0"]], asks: [["101.0", "1.0"], ["200.0", "9.0"]] });
  const given = { price: null, amount: null, total: null, ...terms };
  for (const name of ["price", "amount", "total"]) {
    if (given[name] !== null) given[name] = Decimal.of(given[name]);
  }
  const answer = estimate({ market: MARKET, book, lot: LOT, ...given });
  return answer && `${answer.amount} ${answer.total} ${answer.fee} ${answer.receive} ${answer.role}`;
}

test("it takes the maker's fee from what a resting buy receives, in base", () => {
  const resting = found({ side: "buy", kind: "limit", price: "99", amount: "2" });

  assert.equal(resting, "2 198 0.002 1.998 maker");
});

test("it takes the taker's fee when the price crosses, in quote for a sale", () => {
  const crossing = found({ side: "sell", kind: "limit", price: "100", amount: "0.5" });

  assert.equal(crossing, "0.5 50 0.1 49.9 taker");
});

test("it buys whole lots for a total", () => {
  const whole = found({ side: "buy", kind: "limit", price: "3", total: "1" });

  assert.equal(whole, "0.3333 0.9999 0.0003333 0.3329667 maker");
});

test("it walks the book for a market order, not beyond its collar", () => {
  const market = found({ side: "buy", kind: "market", amount: "5" });

  assert.equal(market, "1 101 0.002 0.998 taker");
});

test("it says nothing while something is missing", () => {
  assert.equal(found({ side: "buy", kind: "limit", amount: "1" }), null);
  assert.equal(found({ side: "buy", kind: "limit", price: "1" }), null);
});
