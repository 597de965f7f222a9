// How numbers and times are written for people. Mirrors markets/views.py, which
// writes the first paint.

import { Decimal } from "./decimal.js";

/** Write a wire decimal with at least `digits` decimals, so that columns align. */
export function padded(text, digits) {
  const decimal = Decimal.of(text);
  const shown = decimal.toString();
  const has = shown.includes(".") ? shown.length - shown.indexOf(".") - 1 : 0;
  return has >= digits ? shown : decimal.floorText(digits);
}

/** How far the price has come: { direction: "up" | "down" | "flat", text: "+1.25 %" }. */
export function change(open, last) {
  if (open === null || last === null) return { direction: "flat", text: "–" };
  const before = Decimal.of(open);
  const now = Decimal.of(last);
  if (before.isZero) return { direction: "flat", text: "–" };
  const fell = now.compare(before) < 0;
  const moved = fell ? before.minus(now) : now.minus(before);
  const percent = moved.times(Decimal.of("100")).over(before, 2);
  if (percent.isZero) return { direction: "flat", text: "0.00 %" };
  const sign = fell ? "−" : "+";
  return {
    direction: fell ? "down" : "up",
    text: `${sign}${percent.floorText(2)} %`,
  };
}

const two = (number) => String(number).padStart(2, "0");

/** Write the time of day of an event on this person's clock: 14:03:59. */
export function timeOfDay(at) {
  const time = new Date(at);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
}

/** The same with the day: 11-22 14:03:59. */
export function dayAndTime(at) {
  const time = new Date(at);
  return `${two(time.getMonth() + 1)}-${two(time.getDate())} ${timeOfDay(at)}`;
}
