// What an order would come to, as far as anybody can tell beforehand. No DOM in here.

import { Decimal } from "./decimal.js";

const FEE_DIGITS = 18;
const HUNDRED = Decimal.of("100");
const ONE = Decimal.of("1");

/**
 * Estimate an order of `amount` (base) or `total` (quote), exactly one of them given.
 *
 * Returns { amount, total, average, fee, receive, rate, role, isWhole }, amounts as
 * Decimals, or null while something needed is missing. `role` says which of the two
 * fees applies; the fee is in what the member receives. `isWhole` is false where a
 * market order would find less than it asks for.
 */
export function estimate({ market, book, side, kind, price, amount, total, lot }) {
  if (amount === null && total === null) return null;
  const found =
    kind === "limit"
      ? sizedByPrice({ price, amount, total, lot })
      : book.sweep(side, {
          amount,
          funds: total,
          limit: collar(market, book, side),
          lot,
        });
  if (!found) return null;
  const role = kind === "market" || crosses(book, side, price) ? "taker" : "maker";
  const rate = Decimal.of(role === "taker" ? market.taker_fee : market.maker_fee);
  const gross = side === "buy" ? found.amount : found.funds;
  const fee = gross.times(rate);
  return {
    amount: found.amount,
    total: found.funds,
    average: found.amount.isZero
      ? found.amount
      : found.funds.over(found.amount, FEE_DIGITS),
    fee,
    receive: gross.minus(fee),
    rate: rate.times(HUNDRED).toString(),
    role,
    isWhole: found.isWhole,
  };
}

function sizedByPrice({ price, amount, total, lot }) {
  if (!price || price.isZero) return null;
  const size = amount ?? total.over(price, lot.scale).floorTo(lot);
  return { amount: size, funds: price.times(size), isWhole: true };
}

function crosses(book, side, price) {
  const best = book.best(side === "buy" ? "sell" : "buy");
  if (!best) return false;
  return side === "buy" ? price.compare(best) >= 0 : price.compare(best) <= 0;
}

// How far from the best price the server lets a market order go.
function collar(market, book, side) {
  const best = book.best(side === "buy" ? "sell" : "buy");
  if (!best) return null;
  const rate = Decimal.of(market.collar);
  return best.times(side === "buy" ? ONE.plus(rate) : ONE.minus(rate));
}
