import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { change, padded } from "../../../static/js/numbers.js";

// The same cases hold for markets/display.py: see test_display.py.
const cases = JSON.parse(readFileSync(new URL("numbers.json", import.meta.url)));

test("it pads amounts without ever cutting them", () => {
  for (const [text, digits, expected] of cases.padded) {
    assert.equal(padded(text, digits), expected);
  }
});

test("it says how far a price has come, with a sign", () => {
  for (const [open, last, direction, text] of cases.change) {
    assert.deepEqual(change(open, last), { direction, text });
  }
});
