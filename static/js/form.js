// The order form: limit and market, sized by amount or by total, checked while it is
// filled in and sent at most once.
//
// Of amount and total one was typed last and is meant; the other follows from it, so
// that typing back and forth never drifts.

import { Decimal, ZERO } from "./decimal.js";
import { estimate } from "./estimate.js";
import { Field, faultOfNumber, faultOfStep } from "./field.js";
import { writeText } from "./paint.js";
import { ask } from "./server.js";
import { toast } from "./toast.js";
import { say } from "./words.js";

const ESTIMATE_DIGITS = 8;

export class OrderForm {
  #market;
  #book;
  #balances;
  #onPlaced;
  #form = document.getElementById("order-form");
  #price = new Field("price");
  #amount = new Field("amount");
  #total = new Field("total");
  #submit = document.getElementById("order-submit");
  #refusal = document.getElementById("order-refusal");
  #meant = "amount";
  #isSending = false;
  // The last submission that was not answered: sent again, it keeps its client id.
  #unanswered = null;

  /** `onPlaced(order)`: the server has taken an order. */
  constructor(market, book, balances, onPlaced) {
    this.#market = market;
    this.#book = book;
    this.#balances = balances;
    this.#onPlaced = onPlaced;
    this.tick = Decimal.of(market.tick);
    this.lot = Decimal.of(market.lot);
    this.unit = this.tick.times(this.lot);
    this.#form.addEventListener("input", (event) => this.#typed(event.target));
    this.#form.addEventListener("change", (event) => this.#settled(event.target));
    this.#form.addEventListener("keydown", (event) => this.#stepped(event));
    this.#form.addEventListener("click", (event) => {
      const share = event.target.closest("[data-share]");
      if (share) this.#take(BigInt(share.dataset.share));
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    document.getElementById("order-controls").disabled = false;
    this.#dress();
  }

  get side() {
    return this.#form.elements.side.value;
  }

  get kind() {
    return this.#form.elements.kind.value;
  }

  /** Fill in a price from the book; with an amount, what it takes to sweep to it. */
  pick({ side, price, amount }) {
    this.#form.elements.kind.value = "limit";
    if (amount) {
      this.#form.elements.side.value = side === "sell" ? "buy" : "sell";
      this.#meant = "amount";
      this.#amount.text = amount.toString();
    }
    this.#price.text = price.floorText(this.#market.price_digits);
    this.#dress();
    this.#clearFaults();
  }

  suggest(price) {
    if (this.#price.isEmpty && price) this.#price.text = price.toString();
    this.refresh();
  }

  /** Work out what follows from what was typed; the book or a balance may have moved. */
  refresh() {
    const found = this.#estimate();
    this.#follow(found);
    this.#tell(found);
    const quoted = this.side === "buy" ? this.#market.quote : this.#market.base;
    write("order-available", `${this.#available()} ${quoted.toUpperCase()}`);
  }

  #estimate() {
    return estimate({
      market: this.#market,
      book: this.#book,
      side: this.side,
      kind: this.kind,
      price: this.#price.value,
      amount: this.#meant === "amount" ? this.#amount.value : null,
      total: this.#meant === "total" ? this.#total.value : null,
      lot: this.lot,
    });
  }

  #follow(found) {
    const follower = this.#meant === "amount" ? this.#total : this.#amount;
    const value = this.#meant === "amount" ? found?.total : found?.amount;
    const text = value && !value.isZero ? value.toString() : "";
    if (follower.text !== text) follower.text = text;
  }

  #tell(found) {
    const isReal = found && !found.amount.isZero;
    const received = this.side === "buy" ? this.#market.base : this.#market.quote;
    const name = received.toUpperCase();
    write("order-fee", isReal ? `${found.fee.ceilText(ESTIMATE_DIGITS)} ${name}` : "–");
    write(
      "order-receive",
      isReal ? `≈ ${found.receive.floorText(ESTIMATE_DIGITS)} ${name}` : "–",
    );
    write("order-fee-rate", isReal ? say(`fee-${found.role}`, { rate: found.rate }) : "");
    write("order-hint", found && !found.isWhole ? this.#thin(found.amount) : "");
    const digits = this.#market.price_digits;
    write("order-average", isReal ? `≈ ${found.average.floorText(digits)}` : "–");
  }

  #thin(amount) {
    return say("too-thin", { amount, currency: this.#market.base.toUpperCase() });
  }

  #typed(target) {
    if (target === this.#amount.input) this.#meant = "amount";
    if (target === this.#total.input) this.#meant = "total";
    if (target.type === "radio") this.#dress();
    this.#refusal.textContent = "";
    this.refresh();
    // Praise early, complain late: a fault goes as soon as it is mended.
    for (const [field, fault] of this.#faults()) {
      if (fault === null) field.complain(null);
    }
  }

  #settled(target) {
    if (target === this.#total.input && this.kind === "limit" && this.#amount.value) {
      // Whole lots were bought with the total: from here on it is what they cost.
      this.#meant = "amount";
      this.refresh();
    }
    for (const [field, fault] of this.#faults()) {
      if (!field.isEmpty) field.complain(fault);
    }
  }

  #stepped(event) {
    const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const steps = new Map([
      [this.#price, this.tick],
      [this.#amount, this.lot],
    ]);
    const field = [...steps.keys()].find(({ input }) => input === event.target);
    if (!direction || !field) return;
    event.preventDefault();
    field.move(steps.get(field), direction * (event.shiftKey ? 10 : 1));
    this.#typed(event.target);
  }

  /** Size the order by a share of what is available, in percent. */
  #take(percent) {
    const share = new Decimal(this.#available().units * percent, this.#available().scale)
      .over(Decimal.of("100"), ESTIMATE_DIGITS * 2);
    if (this.side === "sell") {
      this.#amount.text = share.floorTo(this.lot).toString();
      this.#typed(this.#amount.input);
    } else if (this.kind === "market") {
      this.#total.text = share.floorTo(this.unit).toString();
      this.#typed(this.#total.input);
    } else {
      if (!this.#price.value) this.suggest(this.#book.best("sell"));
      const price = this.#price.value;
      if (!price || price.isZero) return;
      this.#amount.text = share.over(price, this.lot.scale).floorTo(this.lot).toString();
      this.#typed(this.#amount.input);
    }
    this.#settled(this.#amount.input);
  }

  #available() {
    const { base, quote } = this.#market;
    return this.#balances.available(this.side === "buy" ? quote : base);
  }

  /** What is wrong with each field that counts, in the order they are read. */
  #faults() {
    const faults = [];
    if (this.kind === "limit") faults.push([this.#price, this.#faultOfPrice()]);
    if (this.#meant === "amount" || this.kind === "limit") {
      faults.push([this.#amount, this.#faultOfAmount()]);
    }
    faults.push([this.#total, this.#faultOfTotal()]);
    return faults;
  }

  #faultOfPrice() {
    return (
      faultOfNumber(this.#price) ?? faultOfStep(this.#price.value, this.tick, "off-tick")
    );
  }

  #faultOfAmount() {
    const { amount_min: least, base } = this.#market;
    if (this.#meant === "total" && this.#amount.isEmpty) return null; // see the total
    const fault =
      faultOfNumber(this.#amount) ??
      faultOfStep(this.#amount.value, this.lot, "off-lot");
    if (fault) return fault;
    const currency = base.toUpperCase();
    if (this.#amount.value.compare(Decimal.of(least)) < 0) {
      return { message: say("below-amount", { least, currency }), nearest: least };
    }
    if (this.side === "sell") return this.#faultOfBalance(this.#amount.value, this.lot);
    return null;
  }

  #faultOfTotal() {
    const { notional_min: least, quote } = this.#market;
    if (this.#meant === "total") {
      const fault = faultOfNumber(this.#total);
      if (fault) return fault;
      if (this.kind === "market") {
        const step = faultOfStep(this.#total.value, this.unit, "off-unit");
        if (step) return step;
      } else if (this.#amount.isEmpty && this.#price.value) {
        return { message: say("below-lot", { lot: this.lot }) };
      }
    }
    const total = this.#total.value;
    if (!total) return null;
    if (total.compare(Decimal.of(least)) < 0) {
      return { message: say("below-total", { least, currency: quote.toUpperCase() }) };
    }
    if (this.side === "buy") return this.#faultOfBalance(total);
    return null;
  }

  #faultOfBalance(needed, step = null) {
    const available = this.#available();
    if (this.#form.dataset.signedIn !== "yes" || needed.compare(available) <= 0) {
      return null;
    }
    const most = step ? available.floorTo(step) : ZERO;
    return {
      message: say("not-enough", { available }),
      nearest: most.isZero ? null : most.toString(),
    };
  }

  #clearFaults() {
    for (const field of [this.#price, this.#amount, this.#total]) field.complain(null);
    this.#refusal.textContent = "";
  }

  /** Show what belongs to the side and kind that are chosen. */
  #dress() {
    const isMarket = this.kind === "market";
    this.#form.dataset.side = this.side;
    this.#form.dataset.kind = this.kind;
    this.#price.row.hidden = isMarket;
    // The proceeds of a market sale are the market's to say.
    this.#total.input.readOnly = isMarket && this.side === "sell";
    if (this.#total.input.readOnly) this.#meant = "amount";
    document.getElementById("average-row").hidden = !isMarket;
    this.#clearFaults();
    this.#label();
    this.refresh();
  }

  #label() {
    if (!this.#submit) return; // signed out: a link stands in its place
    const currency = this.#market.base.toUpperCase();
    const word = this.#isSending ? "sending" : `submit-${this.side}`;
    this.#submit.textContent = say(word, { currency });
    this.#submit.disabled = this.#isSending || this.#market.state !== "open";
  }

  /** The market's state has changed. */
  relabel() {
    this.#label();
  }

  async #send() {
    if (this.#isSending || !this.#submit || this.#submit.disabled) return;
    const faults = this.#faults();
    for (const [field, fault] of faults) field.complain(fault);
    const first = faults.find(([, fault]) => fault !== null);
    if (first) return first[0].input.focus();

    const terms = this.#terms();
    this.#isSending = true;
    this.#label();
    try {
      const path = `/markets/${this.#market.id}/orders`;
      const body = { ...terms, client_id: this.#clientId(terms) };
      const { order } = await ask("POST", path, body);
      this.#unanswered = null;
      this.#placed(order);
    } catch (refusal) {
      if (refusal.code !== "unreachable") this.#unanswered = null;
      const word = refusal.code === "unreachable" ? say("unanswered") : refusal.message;
      this.#refusal.textContent = word;
    } finally {
      this.#isSending = false;
      this.#label();
    }
  }

  #terms() {
    const isLimit = this.kind === "limit";
    const byFunds = !isLimit && this.#meant === "total";
    return {
      side: this.side,
      kind: this.kind,
      price: isLimit ? this.#price.value.toString() : null,
      amount: byFunds ? null : this.#amount.value.toString(),
      funds: byFunds ? this.#total.value.toString() : null,
    };
  }

  // One id per submission. When the answer got lost, the same terms go out under the
  // same id, and the server returns the order it already has.
  #clientId(terms) {
    const written = JSON.stringify(terms);
    if (this.#unanswered?.written !== written) {
      this.#unanswered = { written, id: newId() };
    }
    return this.#unanswered.id;
  }

  #placed(order) {
    this.#amount.text = "";
    this.#total.text = "";
    this.#refusal.textContent = "";
    this.refresh();
    const size = order.amount
      ? `${order.amount} ${this.#market.base.toUpperCase()}`
      : `${order.funds} ${this.#market.quote.toUpperCase()}`;
    const price = order.price ?? say("market");
    toast(say("order-placed", { side: say(order.side), size, price }), "good");
    this.#onPlaced(order);
  }
}

function newId() {
  // randomUUID is missing outside secure contexts: a LAN without TLS, say.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function write(id, text) {
  writeText(document.getElementById(id), text);
}
