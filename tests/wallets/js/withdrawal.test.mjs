import assert from "node:assert/strict";
import { test } from "node:test";

import { countdown, fill, judge } from "../../../static/js/withdrawal.js";

const RULES = { fee: "0.001", least: "0.011", available: "1.5", digits: 8 };
const MINUTE = 60_000;

function said(text, rules = {}) {
  const judged = judge(text, { ...RULES, ...rules });
  return judged && `${judged.says} ${Object.values(judged.facts).join(" ")}`.trim();
}

test("it takes the fee off, exactly", () => {
  assert.equal(said("1.5"), "arrives 1.499 0.001");
  assert.equal(said(" 0.3 ", { fee: "0.1" }), "arrives 0.2 0.1");
  const large = { available: "9".repeat(20), fee: "0.00000001" };
  assert.equal(said("9".repeat(20), large), `arrives ${"9".repeat(19)}8.99999999 0.00000001`);
});

test("it says what is wrong before the server does", () => {
  assert.equal(said(""), null);
  for (const text of ["abc", "-1", "1e3", "1,5", "."]) assert.equal(said(text), "unread");
  assert.equal(said("0.123456789"), "digits 8");
  assert.equal(said("1.50000001"), "short 1.5");
  assert.equal(said("0.01099999"), "least 0.011");
  assert.equal(said("0.011"), "arrives 0.01 0.001");
  assert.equal(said("1.5", { digits: 0 }), "digits 0");
});

test("it counts down to the minute, rounded up", () => {
  assert.deepEqual(countdown((23 * 60 + 10) * MINUTE), {
    says: "hours",
    facts: { hours: 23, minutes: 10 },
  });
  assert.deepEqual(countdown(1), { says: "minutes", facts: { minutes: 1 } });
  assert.deepEqual(countdown(0), { says: "over", facts: {} });
  assert.deepEqual(countdown(-5), { says: "over", facts: {} });
  assert.deepEqual(countdown(49 * 60 * MINUTE), {
    says: "days",
    facts: { days: 2, hours: 1 },
  });
});

test("it fills a sentence", () => {
  assert.equal(fill("{a} and {b}", { a: 1, b: "2" }), "1 and 2");
});
