// Candles with volume, drawn by lightweight-charts. The only place on the page where
// prices are Numbers: a chart is a picture, not an account.

import { part, writeText } from "./paint.js";
import { ask } from "./server.js";

const { createChart, CandlestickSeries, HistogramSeries } = window.LightweightCharts;

const CANDLES_WANTED = 500;
const CANDLES_FILLED_MAX = 3_000;
const BARS_AT_FIRST = 90;
const RECENT_MAX = 200;
const DEFAULT_PERIOD = 1;
const KEY = "chart-period";

export class Chart {
  #market;
  #place = document.getElementById("candles");
  #legend = document.getElementById("legend");
  #buttons = [...document.querySelectorAll("[data-period]")];
  #period = DEFAULT_PERIOD;
  #bars = [];
  #lastTrade = 0;
  // Trades that fetched candles may not hold yet.
  #recent = [];
  #request = 0;
  #chart;
  #candles;
  #volume;

  constructor(market) {
    this.#market = market;
    this.#chart = createChart(this.#place, this.#options());
    this.#candles = this.#chart.addSeries(CandlestickSeries, {
      priceFormat: {
        type: "price",
        precision: market.price_digits,
        minMove: Number(market.tick),
      },
    });
    this.#volume = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: "",
      priceFormat: { type: "volume" },
      priceLineVisible: false,
      lastValueVisible: false,
    });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#dress();
    document.addEventListener("theme", () => this.#dress());
    this.#chart.subscribeCrosshairMove((move) => {
      this.#describe(move.seriesData?.get(this.#candles) && move.time);
    });
    for (const button of this.#buttons) {
      button.addEventListener("click", () => this.#choose(Number(button.dataset.period)));
    }
  }

  /** Show the one-minute candles that came with the page, or fetch the chosen ones. */
  open(candles, lastTrade) {
    const wanted = Number(remembered() ?? DEFAULT_PERIOD);
    const isKnown = this.#buttons.some((b) => Number(b.dataset.period) === wanted);
    this.#press(isKnown ? wanted : DEFAULT_PERIOD);
    if (this.#period === DEFAULT_PERIOD) this.#load(candles, lastTrade);
    else this.reload();
  }

  /** Fetch the candles anew: after a gap in the stream, or for another period. */
  async reload() {
    const request = ++this.#request;
    const path = `/markets/${this.#market.id}/candles`;
    const query = `period=${this.#period}&limit=${CANDLES_WANTED}`;
    try {
      const { candles, last_trade: lastTrade } = await ask("GET", `${path}?${query}`);
      if (request === this.#request) this.#load(candles, lastTrade);
    } catch {
      // The old picture stays; the connection's state says why.
    }
  }

  /** Let the last candle live. */
  add(trades) {
    this.#recent = [...this.#recent, ...trades].slice(-RECENT_MAX);
    this.#take(trades);
  }

  #take(trades) {
    for (const trade of trades) {
      if (trade.id <= this.#lastTrade) continue;
      this.#lastTrade = trade.id;
      this.#grow(trade);
    }
  }

  #grow(trade) {
    const seconds = this.#period * 60;
    const time = Math.floor(Date.parse(trade.at) / 1000 / seconds) * seconds;
    const [price, amount] = [Number(trade.price), Number(trade.amount)];
    let bar = this.#bars.at(-1);
    if (bar && time < bar.time) return;
    if (!bar || time > bar.time) {
      const open = bar ? bar.close : price;
      const next = { time, open, high: open, low: open, close: open, volume: 0 };
      for (const filler of withoutGaps(bar ? [bar, next] : [next], seconds).slice(1)) {
        this.#bars.push(filler);
        this.#draw(filler);
      }
      if (!bar) this.#bars.push(next);
      bar = this.#bars.at(-1);
      // A candle opens at its own first price, not where the last one closed.
      Object.assign(bar, { open: price, high: price, low: price });
    }
    bar.high = Math.max(bar.high, price);
    bar.low = Math.min(bar.low, price);
    bar.close = price;
    bar.volume += amount;
    this.#draw(bar);
    this.#describe();
  }

  #draw(bar) {
    this.#candles.update(bar);
    this.#volume.update(this.#volumeOf(bar));
  }

  #load(candles, lastTrade) {
    const bars = candles.map(([time, open, high, low, close, volume]) => ({
      time,
      open: Number(open),
      high: Number(high),
      low: Number(low),
      close: Number(close),
      volume: Number(volume),
    }));
    this.#bars = withoutGaps(bars, this.#period * 60);
    this.#lastTrade = lastTrade;
    this.#candles.setData(this.#bars);
    this.#volume.setData(this.#bars.map((bar) => this.#volumeOf(bar)));
    const last = this.#bars.length;
    this.#chart
      .timeScale()
      .setVisibleLogicalRange({ from: last - BARS_AT_FIRST, to: last + 4 });
    this.#take(this.#recent);
    this.#describe();
  }

  #choose(period) {
    if (period === this.#period) return;
    this.#press(period);
    remember(period);
    this.reload();
  }

  #press(period) {
    this.#period = period;
    for (const button of this.#buttons) {
      button.setAttribute("aria-pressed", Number(button.dataset.period) === period);
    }
  }

  /** Write the candle under the crosshair, or the last one, as text. */
  #describe(time) {
    const bar = time ? this.#bars.find((b) => b.time === time) : this.#bars.at(-1);
    if (!bar) return;
    const price = (number) => number.toFixed(this.#market.price_digits);
    const cells = {
      open: price(bar.open),
      high: price(bar.high),
      low: price(bar.low),
      close: price(bar.close),
      volume: bar.volume.toFixed(this.#market.amount_digits),
    };
    for (const [name, text] of Object.entries(cells)) {
      writeText(part(this.#legend, name), text);
    }
    this.#legend.dataset.direction = bar.close < bar.open ? "down" : "up";
  }

  #volumeOf(bar) {
    const color = bar.close < bar.open ? this.#colours.downSoft : this.#colours.upSoft;
    return { time: bar.time, value: bar.volume, color };
  }

  #options() {
    return {
      autoSize: true,
      // Its logo would bring a style element that our CSP refuses. The credit to
      // TradingView that its licence asks for stands below the chart instead.
      layout: { attributionLogo: false, fontFamily: fontOf(this.#place) },
      rightPriceScale: { borderVisible: false },
      timeScale: {
        borderVisible: false,
        timeVisible: true,
        secondsVisible: false,
        rightOffset: 4,
        tickMarkFormatter: tickMark,
      },
      localization: {
        timeFormatter: (time) =>
          new Date(time * 1000).toLocaleString(undefined, {
            dateStyle: "medium",
            timeStyle: "short",
            hourCycle: "h23",
          }),
      },
    };
  }

  #colours = {};

  #dress() {
    const colour = (name) => colourOf(this.#place, name);
    const [up, down] = [colour("--up"), colour("--down")];
    this.#colours = { upSoft: colour("--up-volume"), downSoft: colour("--down-volume") };
    const line = colour("--grid");
    this.#chart.applyOptions({
      layout: {
        background: { color: colour("--panel") },
        textColor: colour("--muted"),
      },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
    });
    this.#candles.applyOptions({
      upColor: up,
      wickUpColor: up,
      borderUpColor: up,
      downColor: down,
      wickDownColor: down,
      borderDownColor: down,
    });
    this.#volume.setData(this.#bars.map((bar) => this.#volumeOf(bar)));
  }
}

/** Fill periods without trades with flat candles at the last close. */
export function withoutGaps(bars, seconds) {
  const filled = [];
  for (const bar of bars) {
    const last = filled.at(-1);
    const missing = last ? (bar.time - last.time) / seconds - 1 : 0;
    if (missing <= CANDLES_FILLED_MAX) {
      for (let nth = 1; nth <= missing; nth += 1) {
        const { close } = last;
        const time = last.time + nth * seconds;
        filled.push({ time, open: close, high: close, low: close, close, volume: 0 });
      }
    }
    filled.push(bar);
  }
  return filled;
}

// Marks on the time axis, on this person's clock: kinds 0 year, 1 month, 2 day, 3-4 time.
function tickMark(time, kind) {
  const at = new Date(time * 1000);
  if (kind === 0) return String(at.getFullYear());
  if (kind === 1) return at.toLocaleDateString(undefined, { month: "short" });
  if (kind === 2) {
    return at.toLocaleDateString(undefined, { day: "numeric", month: "short" });
  }
  const short = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return at.toLocaleTimeString(undefined, short);
}

function fontOf(element) {
  return getComputedStyle(element).fontFamily;
}

// light-dark() is resolved by asking a real element for its colour.
function colourOf(place, name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  place.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage may be forbidden
  }
}

function remember(period) {
  try {
    localStorage.setItem(KEY, period);
  } catch {
    // then it holds for this page only
  }
}
