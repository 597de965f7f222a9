// What a withdrawal would come to, and how long something rests. No DOM in here; the
// server looks at it all again.

import { Decimal } from "./decimal.js";

/**
 * Judge an amount as it is typed: { says, facts }, where `says` is "arrives", or what
 * is wrong: "unread", "digits", "short", "least". Null for an empty field.
 */
export function judge(text, { fee, least, available, digits }) {
  const written = text.trim();
  if (written === "") return null;
  const amount = Decimal.parse(written);
  if (amount === null) return { says: "unread", facts: {} };
  const step = new Decimal(1n, digits);
  if (!amount.isMultipleOf(step)) return { says: "digits", facts: { digits } };
  if (amount.compare(Decimal.of(available)) > 0) {
    return { says: "short", facts: { available } };
  }
  if (amount.compare(Decimal.of(least)) < 0) return { says: "least", facts: { least } };
  const net = amount.minus(Decimal.of(fee));
  return { says: "arrives", facts: { net: net.toString(), fee } };
}

/** Say how long it is until then: { says: "days" | "hours" | "minutes" | "over" }. */
export function countdown(milliseconds) {
  const minutes = Math.ceil(milliseconds / 60_000);
  if (minutes <= 0) return { says: "over", facts: {} };
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) {
    return { says: "days", facts: { days: Math.floor(hours / 24), hours: hours % 24 } };
  }
  if (hours) return { says: "hours", facts: { hours, minutes: minutes % 60 } };
  return { says: "minutes", facts: { minutes } };
}

/** Put facts into a sentence with their {names} in it. */
export function fill(sentence, facts) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => String(facts[name]));
}
