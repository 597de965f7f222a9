// Place an order, look at it, and cancel it: Node.js 18 or newer is all it takes.

import { createHmac } from "node:crypto";

const { ACCESS_KEY, SECRET_KEY } = process.env;
const URL = process.env.PIXIU_URL ?? "http://127.0.0.1:8000";
let tonce = 0;

// Sign the parameters in the order of their names; return what is answered.
async function call(verb, path, params = {}) {
  tonce = Math.max(tonce + 1, Date.now());
  const whole = { ...params, access_key: ACCESS_KEY, tonce };
  const pairs = Object.keys(whole).sort().flatMap((name) => flat(name, whole[name]));
  const text = pairs.map(([name, value]) => `${name}=${value}`).join("&");
  const hmac = createHmac("sha256", SECRET_KEY);
  const signature = hmac.update(`${verb}|/api/v2/${path}|${text}`).digest("hex");
  const query = new URLSearchParams([...pairs, ["signature", signature]]);
  return verb === "GET"
    ? read(`${URL}/api/v2/${path}?${query}`)
    : read(`${URL}/api/v2/${path}`, { method: verb, body: query });
}

// A list of orders is written as orders[][price]=..., sorted within each order.
function flat(name, value) {
  if (!Array.isArray(value)) return [[name, String(value)]];
  return value.flatMap((item) =>
    Object.keys(item).sort().map((key) => [`${name}[][${key}]`, String(item[key])]),
  );
}

async function read(url, options) {
  const answer = await fetch(url, options);
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  return answer.json();
}

const show = (name, value) => console.log(`${name}: ${JSON.stringify(value)}`);

show("Ticker", await read(`${URL}/api/v2/tickers/btccny`));
show("Me", await call("GET", "members/me"));

const terms = { side: "sell", volume: "0.01" };
const order = await call("POST", "orders", { market: "btccny", price: "700000", ...terms });
show("Placed", order);
show("Found", await call("GET", "order", { id: order.id }));
show("Cancelled", await call("POST", "order/delete", { id: order.id }));

const orders = [{ ...terms, price: "700001" }, { ...terms, price: "700002" }];
show("Both", await call("POST", "orders/multi", { market: "btccny", orders }));
