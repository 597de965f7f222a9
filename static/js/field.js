// One number field of the order form, with its complaint and the value that would do.

import { Decimal } from "./decimal.js";
import { say } from "./words.js";

export class Field {
  constructor(name) {
    this.input = document.getElementById(`order-${name}`);
    this.row = this.input.closest(".field");
    this.complaint = document.getElementById(`order-${name}-error`);
  }

  get text() {
    return this.input.value.trim();
  }

  set text(text) {
    this.input.value = text;
  }

  get isEmpty() {
    return this.text === "";
  }

  /** The number in the field; null when it is empty or not a plain number. */
  get value() {
    return Decimal.parse(this.text);
  }

  get isShown() {
    return !this.row.hidden;
  }

  /** Say what is wrong, offering `nearest` where one press can mend it; null is fine. */
  complain(fault) {
    this.input.setAttribute("aria-invalid", fault !== null);
    this.complaint.hidden = fault === null;
    this.complaint.replaceChildren();
    if (fault === null) return;
    this.complaint.append(fault.message);
    if (!fault.nearest) return;
    const snap = document.createElement("button");
    snap.type = "button";
    snap.className = "snap";
    snap.textContent = say("use-nearest", { nearest: fault.nearest });
    snap.addEventListener("click", () => {
      this.text = fault.nearest;
      this.input.dispatchEvent(new Event("input", { bubbles: true }));
      this.input.dispatchEvent(new Event("change", { bubbles: true }));
      this.input.focus();
    });
    this.complaint.append(" ", snap);
  }

  /** Move by whole steps; what is off the grid lands on it first. */
  move(step, count) {
    const moved = (this.value ?? Decimal.of("0")).nearestTo(step).plus(
      new Decimal(step.units * BigInt(count), step.scale),
    );
    if (moved.units > 0n) this.text = moved.toString();
  }
}

/** What any number must be before the market is asked: a fault, or null. */
export function faultOfNumber(field) {
  if (field.isEmpty) return { message: say("fill-in") };
  if (field.value === null) {
    return { message: say(field.text.includes(",") ? "use-a-point" : "not-a-number") };
  }
  if (field.value.isZero) return { message: say("more-than-zero") };
  return null;
}

/** Whether a number stands on the grid: a fault with the nearest value, or null. */
export function faultOfStep(value, step, word) {
  if (value.isMultipleOf(step)) return null;
  const rounded = value.nearestTo(step);
  const nearest = (rounded.isZero ? step : rounded).toString();
  return { message: say(word, { step }), nearest };
}
