// Exact decimals for money: a BigInt counted in steps of 10^-scale.
//
// Prices and amounts are texts on the wire and Decimals here; they never become a
// Number. Whoever rounds says in which direction.

const PLAIN = /^(?:\d{1,20}(?:\.\d{0,18})?|\.\d{1,18})$/;

export class Decimal {
  constructor(units, scale) {
    this.units = units;
    this.scale = scale;
  }

  /** Read a plain, non-negative decimal ("1.50"); null for anything else. */
  static parse(text) {
    if (!PLAIN.test(text)) return null;
    const [whole, fraction = ""] = text.split(".");
    return new Decimal(BigInt(whole + fraction), fraction.length);
  }

  /** Read what is known to be a decimal: our own server's words. */
  static of(text) {
    const decimal = Decimal.parse(text);
    if (decimal === null) throw new TypeError(`not a decimal: ${text}`);
    return decimal;
  }

  plus(other) {
    const [mine, theirs, scale] = aligned(this, other);
    return new Decimal(mine + theirs, scale);
  }

  minus(other) {
    const [mine, theirs, scale] = aligned(this, other);
    return new Decimal(mine - theirs, scale);
  }

  times(other) {
    return new Decimal(this.units * other.units, this.scale + other.scale);
  }

  /** Divide, dropping what is beyond `digits` decimals. */
  over(other, digits) {
    const numerator = this.units * power(digits + other.scale);
    return new Decimal(numerator / (other.units * power(this.scale)), digits);
  }

  /** Round down to a whole number of steps. */
  floorTo(step) {
    const [mine, theirs, scale] = aligned(this, step);
    return new Decimal(mine - (mine % theirs), scale);
  }

  /** Round to the nearest whole number of steps, half of one upwards. */
  nearestTo(step) {
    const half = new Decimal(step.units * 5n, step.scale + 1);
    return this.plus(half).floorTo(step);
  }

  isMultipleOf(step) {
    const [mine, theirs] = aligned(this, step);
    return mine % theirs === 0n;
  }

  /** Negative, zero or positive, as Array.sort likes it. */
  compare(other) {
    const [mine, theirs] = aligned(this, other);
    return mine < theirs ? -1 : Number(mine > theirs);
  }

  get isZero() {
    return this.units === 0n;
  }

  /** Plain notation with exactly `digits` decimals; what is beyond is dropped. */
  floorText(digits) {
    return this.#text(
      digits >= this.scale
        ? this.units * power(digits - this.scale)
        : this.units / power(this.scale - digits),
      digits,
    );
  }

  /** The same, with what is beyond rounded up: for fees. */
  ceilText(digits) {
    if (digits >= this.scale) return this.floorText(digits);
    const step = power(this.scale - digits);
    return this.#text((this.units + step - 1n) / step, digits);
  }

  /** Plain notation without padding: "11", "0.5". */
  toString() {
    const text = this.#text(this.units, this.scale);
    return this.scale ? text.replace(/\.?0+$/, "") : text;
  }

  #text(units, digits) {
    const sign = units < 0n ? "-" : "";
    const all = String(units < 0n ? -units : units).padStart(digits + 1, "0");
    if (!digits) return sign + all;
    return `${sign}${all.slice(0, -digits)}.${all.slice(-digits)}`;
  }
}

export const ZERO = new Decimal(0n, 0);

function aligned(one, other) {
  const scale = Math.max(one.scale, other.scale);
  return [
    one.units * power(scale - one.scale),
    other.units * power(scale - other.scale),
    scale,
  ];
}

const powers = [1n];

function power(exponent) {
  while (powers.length <= exponent) powers.push(powers.at(-1) * 10n);
  return powers[exponent];
}
