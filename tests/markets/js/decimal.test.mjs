import assert from "node:assert/strict";
import { test } from "node:test";

import { Decimal } from "../../../static/js/decimal.js";

const of = Decimal.of;

test("it reads plain decimals and writes them back without padding", () => {
  const read = ["0", "0.0", "11.0", "0.50", ".5", "5.", "30000.10", "007"];

  const written = read.map((text) => of(text).toString());

  assert.deepEqual(written, ["0", "0", "11", "0.5", "0.5", "5", "30000.1", "7"]);
});

test("it refuses everything that is not a plain decimal", () => {
  const bad = ["", ".", "-1", "+1", "1e5", "1,5", "1 000", "NaN", "Infinity", "٣", "0x1",
    " 1", "1.2.3", "1".repeat(21), `0.${"1".repeat(19)}`, null, undefined];

  for (const text of bad) assert.equal(Decimal.parse(text), null, `${text}`);
});

test("it calculates where floats go wrong", () => {
  assert.equal(of("0.1").plus(of("0.2")).toString(), "0.3");
  assert.equal(of("1").minus(of("0.9")).toString(), "0.1");
  assert.equal(of("1.1").times(of("1.1")).toString(), "1.21");
  const big = of("12345678901234567890.123456789012345678");
  assert.equal(big.minus(of("0.000000000000000001")).toString(),
    "12345678901234567890.123456789012345677");
});

test("it drops what a division leaves over", () => {
  assert.equal(of("2").over(of("3"), 4).toString(), "0.6666");
  assert.equal(of("0.02").over(of("0.1"), 0).toString(), "0");
  assert.equal(of("100").over(of("0.25"), 2).toString(), "400");
});

test("it rounds to steps in the direction that is said", () => {
  assert.equal(of("1.2349").floorTo(of("0.01")).toString(), "1.23");
  assert.equal(of("1.2349").nearestTo(of("0.01")).toString(), "1.23");
  assert.equal(of("1.235").nearestTo(of("0.01")).toString(), "1.24");
  assert.equal(of("7.4").nearestTo(of("0.5")).toString(), "7.5");
  assert.equal(of("1.5").isMultipleOf(of("0.5")), true);
  assert.equal(of("1.6").isMultipleOf(of("0.5")), false);
});

test("it pads, and says in which direction it cuts", () => {
  assert.equal(of("1.5").floorText(4), "1.5000");
  assert.equal(of("1.99999").floorText(2), "1.99");
  assert.equal(of("0.0000001").ceilText(4), "0.0001");
  assert.equal(of("1").ceilText(0), "1");
});

test("it compares across scales", () => {
  assert.equal(of("1.0").compare(of("1")), 0);
  assert.equal(of("0.9").compare(of("1")), -1);
  assert.equal(of("1.000000000000000001").compare(of("1")), 1);
});

test("it never drifts: whole lots times the price, and back", () => {
  let seed = 7;
  const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
  const lot = of("0.0001");
  for (let round = 0; round < 2_000; round += 1) {
    const price = new Decimal(BigInt(random(1e9) + 1), 2);
    const amount = new Decimal(BigInt(random(1e8) + 1), 4);

    const total = price.times(amount);

    assert.equal(total.over(price, lot.scale).floorTo(lot).compare(amount), 0);
  }
});
