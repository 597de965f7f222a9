// The list of markets, kept live.

import { change, padded } from "./numbers.js";
import { paint, part, writeText } from "./paint.js";
import { Stream } from "./stream.js";
import { say } from "./words.js";

const ARROWS = { up: "▲", down: "▼", flat: "" };

const { stream, digits } = JSON.parse(document.getElementById("screen").textContent);
const latest = {};

function paintTickers() {
  for (const [id, ticker] of Object.entries(latest)) {
    const row = document.querySelector(`[data-key="${CSS.escape(id)}"]`);
    if (row) paintRow(row, ticker, digits[id]);
  }
}

function paintRow(row, ticker, { price, amount }) {
  const priceText = (text) => (text === null ? "–" : padded(text, price));
  const moved = change(ticker.open, ticker.last);
  const texts = {
    last: priceText(ticker.last),
    arrow: ARROWS[moved.direction],
    change: moved.text,
    high: priceText(ticker.high),
    low: priceText(ticker.low),
    volume: padded(ticker.volume ?? "0.0", amount),
  };
  for (const [name, text] of Object.entries(texts)) {
    writeText(part(row, name), text);
  }
  row.dataset.direction = moved.direction;
}

new Stream(`${stream}/ws/tickers`, {
  beats: false,
  onMessage(message) {
    if (message.type !== "tickers") return;
    Object.assign(latest, message.tickers);
    paint(paintTickers);
  },
  onState(state) {
    const place = document.getElementById("connection");
    place.dataset.state = state;
    place.textContent = say(state);
  },
});
