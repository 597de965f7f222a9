// The market page: takes over what the server painted, and keeps it live.

import { Balances } from "./balances.js";
import { Book } from "./book.js";
import { BookView, veil } from "./book_view.js";
import { Chart } from "./chart.js";
import { Decimal } from "./decimal.js";
import { OrderForm } from "./form.js";
import { Orders } from "./orders.js";
import { paint } from "./paint.js";
import { Stream } from "./stream.js";
import { Ticker } from "./ticker.js";
import { toast } from "./toast.js";
import { Trades } from "./trades.js";
import { say } from "./words.js";
import "./tabs.js";

const screen = JSON.parse(document.getElementById("screen").textContent);
const { market } = screen;

const book = new Book();
const balances = new Balances(market);
const trades = new Trades(market);
const ticker = new Ticker(market);
const chart = new Chart(market);
const orders = screen.me ? new Orders(market, () => paint(paintOrders)) : null;
const form = new OrderForm(market, book, balances, (order) => {
  orders.update([order]);
  paint(paintOrders);
});
const bookView = new BookView(book, market, (level) => {
  form.pick(level);
  document.dispatchEvent(new CustomEvent("tab", { detail: "trade" }));
});
let latestTicker = screen.ticker;
let isResyncing = false;

const paintBook = () => {
  bookView.paint(orders?.prices() ?? new Set());
  form.refresh();
};
const paintTrades = () => trades.paint();
const paintTicker = () => ticker.paint(latestTicker);
const paintOrders = () => {
  orders.paint();
  paint(paintBook);
};
const paintBalances = () => {
  balances.paint();
  form.refresh();
};

const handlers = {
  snapshot(message) {
    const last = trades.lastId;
    takeSnapshot(message);
    const missed = message.trades.filter(({ id }) => id > last);
    // When none of the snapshot's trades was known, there were more than it holds.
    if (missed.length && missed.length === message.trades.length) chart.reload();
    else chart.add(missed.toReversed());
    isResyncing = false;
    setConnection("live");
  },

  update(message) {
    if (isResyncing) return;
    if (!book.apply(message)) {
      resync();
      return;
    }
    const fresh = trades.add(message.trades);
    chart.add(fresh);
    if (message.ticker) latestTicker = message.ticker;
    if (fresh.length) paint(paintTrades);
    paint(paintBook);
    paint(paintTicker);
  },

  member(message) {
    if (!orders) return;
    orders.update(message.orders ?? []);
    balances.update(message.balances ?? []);
    tellTrades(message.trades ?? []);
    paint(paintOrders);
    paint(paintBalances);
  },

  state({ state, reason }) {
    market.state = state;
    showMarketState(reason);
  },

  beat({ seq }) {
    // Silence about an update we never got is also a gap.
    if (!isResyncing && seq > book.seq) resync();
  },
};

const stream = new Stream(`${screen.stream}/ws/markets/${market.id}`, {
  onMessage: (message) => handlers[message.type]?.(message),
  onState: (state) => {
    // Live means that the book is whole, which the snapshot after it says.
    if (state !== "live") setConnection(state);
  },
});

function takeSnapshot(snapshot) {
  Object.assign(market, snapshot.market);
  book.load(snapshot);
  trades.load(snapshot.trades);
  latestTicker = snapshot.ticker;
  if (snapshot.me && orders) {
    orders.load(snapshot.me.orders);
    balances.update(snapshot.me.balances);
    paint(paintOrders);
    paint(paintBalances);
  }
  showMarketState();
  paint(paintBook);
  paint(paintTrades);
  paint(paintTicker);
}

function resync() {
  isResyncing = true;
  setConnection("resyncing");
  stream.send({ type: "resync" });
}

function setConnection(state) {
  const place = document.getElementById("connection");
  if (place.dataset.state === state) return;
  place.dataset.state = state;
  place.textContent = say(state);
  veil(state);
}

function showMarketState(reason) {
  const banner = document.getElementById("halted");
  banner.hidden = market.state === "open";
  if (reason) document.getElementById("halt-reason").textContent = reason;
  form.relabel();
}

// What traded together is told together: the sum, at the average price.
function tellTrades(ownTrades) {
  for (const side of ["buy", "sell"]) {
    const mine = ownTrades.filter((t) => t.my_side === side && t.market === market.id);
    if (mine.length === 0) continue;
    const sum = (name) => mine.map((t) => Decimal.of(t[name])).reduce((a, b) => a.plus(b));
    const [amount, funds] = [sum("amount"), sum("funds")];
    const price = funds.over(amount, market.price_digits);
    const currency = market.base.toUpperCase();
    toast(say(`traded-${side}`, { amount, currency, price }), "good");
  }
}

takeSnapshot(screen);
chart.open(screen.candles, screen.trades[0]?.id ?? 0);
if (latestTicker.last) form.suggest(Decimal.of(latestTicker.last));
