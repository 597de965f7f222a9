import assert from "node:assert/strict";
import { test } from "node:test";

import { Book } from "../../../static/js/book.js";
import { Decimal } from "../../../static/js/decimal.js";

const LOT = Decimal.of("0.1");

function bookOf({ seq = 1, bids = [], asks = [], levels } = {}) {
  const book = new Book();
  book.load({ seq, bids, asks, levels });
  return book;
}

const seen = (book, side) =>
  book.levels(side, 99).map(({ price, amount }) => `${price} x ${amount}`);

test("it keeps both sides best first through any update", () => {
  const book = bookOf({ bids: [["100.0", "1.0"]], asks: [["101.0", "1.0"]] });

  const took = book.apply({
    prev: 1,
    seq: 2,
    book: [
      ["buy", "99.5", "3.0"],
      ["buy", "100.5", "2.0"],
      ["sell", "100.9", "4.0"],
      ["sell", "101.0", "0.0"],
      ["buy", "100.0", "5.0"],
    ],
  });

  assert.equal(took, true);
  assert.deepEqual(seen(book, "buy"), ["100.5 x 2", "100 x 5", "99.5 x 3"]);
  assert.deepEqual(seen(book, "sell"), ["100.9 x 4"]);
});

test("it refuses an update that does not follow on the last", () => {
  const book = bookOf({ seq: 5, bids: [["100.0", "1.0"]] });

  const took = book.apply({ prev: 6, seq: 7, book: [["buy", "100.0", "9.0"]] });

  assert.equal(took, false);
  assert.deepEqual(seen(book, "buy"), ["100 x 1"]);
});

test("it leaves out what its snapshot already holds", () => {
  const book = bookOf({ seq: 5, bids: [["100.0", "1.0"]] });

  const took = book.apply({ prev: 3, seq: 4, book: [["buy", "100.0", "9.0"]] });

  assert.equal(took, true);
  assert.equal(book.seq, 5);
  assert.deepEqual(seen(book, "buy"), ["100 x 1"]);
});

test("it adds up what stands before each level", () => {
  const book = bookOf({ asks: [["101.0", "1.5"], ["102.0", "2.5"]] });

  const totals = book.levels("sell", 9).map(({ total }) => `${total}`);

  assert.deepEqual(totals, ["1.5", "4"]);
});

test("it says the spread, and nothing where a side is empty", () => {
  const { gap, percent } = bookOf({
    bids: [["99.0", "1.0"]],
    asks: [["100.0", "1.0"]],
  }).spread();

  assert.equal(`${gap} ${percent}`, "1 1");
  assert.equal(bookOf({ bids: [["99.0", "1.0"]] }).spread(), null);
});

test("snapshot plus updates is the later snapshot, level by level", () => {
  let seed = 11;
  const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
  const book = bookOf({ seq: 0 });
  const truth = { buy: new Map(), sell: new Map() };
  for (let seq = 1; seq <= 1_500; seq += 1) {
    const changes = Array.from({ length: random(4) }, () => {
      const side = random(2) ? "buy" : "sell";
      const price = `${(side === "buy" ? 100 : 200) + random(60)}.${random(10)}`;
      const amount = `${random(3)}.0`;
      if (amount === "0.0") truth[side].delete(Number(price));
      else truth[side].set(Number(price), amount);
      return [side, price, amount];
    });
    assert.ok(book.apply({ prev: seq - 1, seq, book: changes }));
  }
  for (const side of ["buy", "sell"]) {
    const sign = side === "buy" ? -1 : 1;
    const expected = [...truth[side]]
      .sort(([a], [b]) => sign * (a - b))
      .map(([price, amount]) => `${price} x ${Number(amount)}`);

    const found = book
      .levels(side, 9_999)
      .map(({ price, amount }) => `${price} x ${amount}`);

    assert.deepEqual(found, expected);
  }
});

test("it asks for a new snapshot before it runs out of the levels it was told", () => {
  const bids = Array.from({ length: 22 }, (_, nth) => [`${100 - nth}.0`, "1.0"]);
  const book = bookOf({ seq: 1, bids, levels: 22 });

  const deeper = book.apply({ prev: 1, seq: 2, book: [["buy", "50.0", "1.0"]] });
  const first = book.apply({ prev: 2, seq: 3, book: [["buy", "100.0", "0.0"]] });
  const second = book.apply({ prev: 3, seq: 4, book: [["buy", "99.0", "0.0"]] });
  const third = book.apply({ prev: 4, seq: 5, book: [["buy", "98.0", "0.0"]] });

  assert.deepEqual([deeper, first, second, third], [true, true, true, false]);
  assert.equal(seen(book, "buy").includes("50 x 1"), false);
});

test("it sweeps in whole lots, up to a limit", () => {
  const book = bookOf({ asks: [["10.0", "1.0"], ["20.0", "1.0"], ["30.0", "9.0"]] });
  const sweep = (terms) => {
    const { amount, funds, isWhole } = book.sweep("buy", { lot: LOT, ...terms });
    return `${amount} for ${funds}${isWhole ? "" : ", not whole"}`;
  };

  assert.equal(sweep({ amount: Decimal.of("1.5") }), "1.5 for 20");
  assert.equal(sweep({ funds: Decimal.of("31") }), "2 for 30");
  assert.equal(sweep({ funds: Decimal.of("33") }), "2.1 for 33");
  const limit = Decimal.of("20");
  assert.equal(sweep({ amount: Decimal.of("5"), limit }), "2 for 30, not whole");
  assert.equal(sweep({ funds: Decimal.of("999") }), "11 for 300, not whole");
});
