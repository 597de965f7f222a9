// This member's live orders in the market: watch, cancel one, cancel all.

import { Decimal, ZERO } from "./decimal.js";
import { dayAndTime, padded } from "./numbers.js";
import { patch, write } from "./paint.js";
import { ask } from "./server.js";
import { toast } from "./toast.js";
import { say } from "./words.js";

const LIVE = new Set(["pending", "open"]);

export class Orders {
  #market;
  #orders = new Map();
  #closing = new Set();
  // What has ended stays ended, though an answer from before may still be on its way.
  #ended = new Set();
  #onChange;
  #body = document.getElementById("orders-rows");
  #template = document.getElementById("order-row");
  #all = document.getElementById("cancel-all");
  #dialog = document.getElementById("cancel-all-dialog");

  constructor(market, onChange) {
    this.#market = market;
    this.#onChange = onChange;
    this.#body.addEventListener("click", (event) => {
      const button = event.target.closest("[data-cancel]");
      if (button) this.#cancel(Number(button.closest("tr").dataset.key));
    });
    this.#all.addEventListener("click", () => this.#askAboutAll());
    this.#dialog.addEventListener("close", () => {
      if (this.#dialog.returnValue === "yes") this.#cancelAll();
    });
  }

  load(orders) {
    this.#orders = new Map(orders.map((order) => [order.id, order]));
    this.#closing.clear();
  }

  /** Take newer views of orders; what has ended leaves the table. */
  update(orders) {
    for (const order of orders) {
      if (order.market !== this.#market.id || this.#ended.has(order.id)) continue;
      if (LIVE.has(order.state)) {
        if (!isOlder(order, this.#orders.get(order.id))) this.#orders.set(order.id, order);
      } else {
        this.#ended.add(order.id);
        this.#orders.delete(order.id);
        this.#closing.delete(order.id);
        tellHowItEnded(order);
      }
    }
  }

  /** The prices at which this member has orders, as "side price". */
  prices() {
    return new Set(
      [...this.#orders.values()]
        .filter((order) => order.price !== null)
        .map((order) => `${order.side} ${Decimal.of(order.price)}`),
    );
  }

  paint() {
    const newestFirst = [...this.#orders.values()].sort((a, b) => b.id - a.id);
    const items = newestFirst.map((order) => ({ key: order.id, ...order }));
    patch(this.#body, items, this.#template, (row, order) => this.#fill(row, order));
    const count = items.length;
    document.getElementById("orders-count").textContent = count || "";
    document.getElementById("orders-empty").hidden = count > 0;
    this.#all.disabled = count === 0;
  }

  #fill(row, order) {
    const { price_digits: priceDigits, amount_digits: amountDigits } = this.#market;
    const isClosing = this.#closing.has(order.id);
    row.className = `order ${order.side}`;
    write(row, "time", dayAndTime(order.at));
    write(row, "side", say(order.side));
    write(row, "price", order.price ? padded(order.price, priceDigits) : say("market"));
    write(row, "amount", order.amount ? padded(order.amount, amountDigits) : "–");
    write(row, "filled", filledPercent(order));
    write(row, "state", say(isClosing ? "cancelling" : order.state));
    const button = row.querySelector("[data-cancel]");
    button.disabled = isClosing;
    button.setAttribute("aria-label", say("cancel-order", { id: order.id }));
  }

  async #cancel(id) {
    this.#closing.add(id);
    this.#onChange();
    try {
      const { order } = await ask("DELETE", `/markets/${this.#market.id}/orders/${id}`);
      this.update([order]);
    } catch (refusal) {
      this.#closing.delete(id);
      toast(refusal.message, "bad");
    }
    this.#onChange();
  }

  #askAboutAll() {
    const count = this.#orders.size;
    document.getElementById("cancel-all-question").textContent = say(
      count === 1 ? "cancel-all-one" : "cancel-all-many",
      { count },
    );
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
  }

  async #cancelAll() {
    const ids = [...this.#orders.keys()];
    ids.forEach((id) => this.#closing.add(id));
    this.#onChange();
    try {
      await ask("POST", `/markets/${this.#market.id}/orders/clear`, {});
    } catch (refusal) {
      ids.forEach((id) => this.#closing.delete(id));
      toast(refusal.message, "bad");
    }
    this.#onChange();
  }
}

// The answer to our own request may arrive after the stream has told us more.
function isOlder(order, known) {
  if (!known) return false;
  const filled = Decimal.of(order.filled).compare(Decimal.of(known.filled));
  return filled < 0 || (filled === 0 && order.state === "pending" && known.state === "open");
}

function filledPercent(order) {
  const whole = order.amount ? Decimal.of(order.amount) : ZERO;
  if (whole.isZero) return "–";
  const percent = Decimal.of(order.filled).times(Decimal.of("100")).over(whole, 1);
  return `${percent.floorText(1)} %`;
}

function tellHowItEnded(order) {
  const facts = {
    side: say(order.side),
    filled: order.filled,
    amount: order.amount ?? order.filled,
  };
  if (order.state === "filled") toast(say("order-filled", facts), "good");
  else if (order.why === "requested") toast(say("order-cancelled", facts));
  else {
    const kind = Decimal.of(order.filled).isZero ? "bad" : "info";
    toast(say(`ended-${order.why ?? order.state}`, facts), kind);
  }
}
