// Checks proofs of liabilities where the member sits: nothing is asked of anybody. What
// is exact is BigInt, hashes are WebCrypto's. The same rules as static/solvency/*.py.

const SUM_MAX = (1n << 63n) - 1n;
const LENGTH_MAX = 1_000_000;
const PARTS_MAX = 10;
const LEGACY_DEPTH_MAX = 64;
const HASH = /^[0-9a-f]{64}$/;
const AMOUNT = /^(?:0|[1-9][0-9]{0,18})$/;
const NONCE = /^(?:[0-9a-f]{2}){16,64}$/;
// eslint-disable-next-line no-control-regex
const USER = /^(?! )[^|\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,254}(?<! )$/u;
const LEGACY_SUM = /^(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{0,17}[1-9])?$/;
const LEGACY_NONCE = /^[0-9a-f]{32,128}$/;

/** It does not prove what it says, and why. */
export class Unproven extends Error {}

// --- Reading --------------------------------------------------------------------------

function parsed(text) {
  if (text.length > LENGTH_MAX) throw new Unproven("The file is too long.");
  try {
    return JSON.parse(text);
  } catch {
    throw new Unproven("This is no JSON.");
  }
}

function isObject(shown) {
  return typeof shown === "object" && shown !== null && !Array.isArray(shown);
}

function keyed(shown, ...keys) {
  const fits = isObject(shown) && Object.keys(shown).length === keys.length
    && keys.every((key) => Object.hasOwn(shown, key));
  if (!fits) throw new Unproven(`There must be ${keys.join(", ")}, and nothing else.`);
  return shown;
}

function matched(pattern, text) {
  if (typeof text === "string" && pattern.test(text)) return text;
  throw new Unproven(`This is malformed: ${String(text).slice(0, 40)}`);
}

function amountOf(text) {
  const amount = BigInt(matched(AMOUNT, text));
  if (amount > SUM_MAX) throw new Unproven("An amount is too large.");
  return amount;
}

// --- Bytes and hashes -----------------------------------------------------------------

const bytesOf = (text) => new TextEncoder().encode(text);
const fromHex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** SHA-256 of a tag and fields, each with its length before it. */
function hashed(tag, ...fields) {
  const name = bytesOf(tag);
  const pieces = [new Uint8Array([name.length >> 8, name.length & 255]), name];
  for (const field of fields) {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, field.length);
    pieces.push(length, field);
  }
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return sha256(whole);
}

// --- The tree "xpol2" -----------------------------------------------------------------

/** Return {user, asset, total}, the total in base units. Throws Unproven. */
export async function verifyProof(text, manifest) {
  const { format, asset, snapshot, user, leaves } =
    keyed(parsed(text), "format", "asset", "snapshot", "user", "leaves");
  if (format !== "xpol2/proof") throw new Unproven("This is no proof of this format.");
  if (snapshot !== manifest.snapshot) {
    throw new Unproven("The proof is of another snapshot than the manifest.");
  }
  const published = assetOf(manifest, asset);
  matched(USER, user);
  if (!Array.isArray(leaves) || leaves.length < 1 || leaves.length > PARTS_MAX) {
    throw new Unproven("The proof has no leaves, or too many.");
  }
  let total = 0n;
  const places = new Set();
  const hashes = new Set();
  for (const leaf of leaves) {
    const { position, amount, nonce, path } = keyed(leaf, "position", "amount", "nonce", "path");
    const mine = amountOf(amount);
    const secret = fromHex(matched(NONCE, nonce));
    const texts = [asset, snapshot, user, String(mine)].map(bytesOf);
    const hash = await hashed("xpol2/leaf", ...texts, secret);
    await climb(hash, mine, position, path, published);
    total += mine;
    places.add(position);
    hashes.add(toHex(hash));
  }
  if (places.size < leaves.length || hashes.size < leaves.length) {
    throw new Unproven("A leaf is counted twice.");
  }
  if (total > amountOf(published.sum)) {
    throw new Unproven("The leaves hold more than the whole tree.");
  }
  return { user, asset, total, scale: published.scale };
}

async function climb(leafHash, leafSum, position, path, published) {
  const { depth } = published;
  if (!Number.isSafeInteger(position) || position < 0 || position >= 2 ** depth) {
    throw new Unproven("A leaf is at no place of the tree.");
  }
  if (!Array.isArray(path) || path.length !== depth) {
    throw new Unproven("A path is not as long as the tree is deep.");
  }
  let [hash, sum, place] = [leafHash, leafSum, position];
  for (const step of path) {
    keyed(step, "sum", "hash");
    const [otherSum, other] = [amountOf(step.sum), fromHex(matched(HASH, step.hash))];
    if (sum + otherSum > SUM_MAX) throw new Unproven("A sum is too large.");
    const mine = [bytesOf(String(sum)), hash];
    const theirs = [bytesOf(String(otherSum)), other];
    const pair = place % 2 ? [...theirs, ...mine] : [...mine, ...theirs];
    hash = await hashed("xpol2/node", ...pair);
    sum += otherSum;
    place = Math.floor(place / 2);
  }
  if (String(sum) !== published.sum || toHex(hash) !== published.root) {
    throw new Unproven("A path does not lead to the published root.");
  }
}

// --- Manifests ------------------------------------------------------------------------

/**
 * Return {manifest, hash, key} of an envelope. The signature is checked where the
 * browser knows Ed25519; `isSigned` is null where it does not. Throws Unproven.
 */
export async function openManifest(envelope) {
  const { manifest: text, public_key: key, signature } =
    keyed(parsed(envelope), "manifest", "public_key", "signature");
  matched(HASH, key);
  matched(/^[0-9a-f]{128}$/, signature);
  if (typeof text !== "string") throw new Unproven("There is no manifest.");
  const isSigned = await isSignedBy(fromHex(key), bytesOf(text), fromHex(signature));
  if (isSigned === false) {
    throw new Unproven("The signature of the manifest does not hold.");
  }
  const manifest = parsed(text);
  if (!isObject(manifest) || manifest.format !== "xpol2/manifest") {
    throw new Unproven("This is no manifest.");
  }
  if (canonical(manifest) !== text) {
    throw new Unproven("The manifest is not in its canonical form.");
  }
  return { manifest, hash: toHex(await sha256(bytesOf(text))), key, isSigned };
}

function canonical(what) {
  if (Array.isArray(what)) return `[${what.map(canonical).join(",")}]`;
  if (!isObject(what)) return JSON.stringify(what);
  const pairs = Object.keys(what).sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(what[key])}`);
  return `{${pairs.join(",")}}`;
}

async function isSignedBy(key, text, signature) {
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
  } catch {
    return null;
  }
  return crypto.subtle.verify("Ed25519", imported, signature, text);
}

function assetOf(manifest, asset) {
  const found = manifest.assets.filter((each) => each.asset === asset);
  if (found.length !== 1) throw new Unproven("The manifest does not speak of this asset.");
  return found[0];
}

/** Return the last manifest's hash and number. Throws Unproven. */
export async function verifyChain(envelopes) {
  let [before, snapshot, number] = [null, "", 0];
  const keys = new Set();
  for (const envelope of envelopes) {
    const { manifest, hash, key } = await openManifest(envelope);
    number += 1;
    if (manifest.number !== number || manifest.previous !== before) {
      throw new Unproven(`Manifest ${number} does not follow the one before it.`);
    }
    if (!(manifest.snapshot > snapshot)) {
      throw new Unproven(`Manifest ${number} is not later than the one before it.`);
    }
    [before, snapshot] = [hash, manifest.snapshot];
    keys.add(key);
  }
  if (keys.size !== 1) throw new Unproven("The manifests are signed by more than one key.");
  return { number, hash: before };
}

/** Check the whole list of leaves (a Uint8Array) of an asset. Throws Unproven. */
export async function verifyLeaves(list, manifest, asset) {
  const published = assetOf(manifest, asset);
  if (list.length !== 40 * 2 ** published.depth) {
    throw new Unproven("The list has not as many leaves as the tree.");
  }
  const view = new DataView(list.buffer, list.byteOffset, list.length);
  let level = [];
  for (let at = 0; at < list.length; at += 40) {
    level.push({ hash: list.subarray(at, at + 32), sum: view.getBigUint64(at + 32) });
  }
  while (level.length > 1) {
    const above = [];
    for (let at = 0; at < level.length; at += 2) {
      const [left, right] = [level[at], level[at + 1]];
      const sum = left.sum + right.sum;
      if (sum > SUM_MAX) throw new Unproven("A sum is too large.");
      const [one, two] = [bytesOf(String(left.sum)), bytesOf(String(right.sum))];
      above.push({ hash: await hashed("xpol2/node", one, left.hash, two, right.hash), sum });
    }
    level = above;
  }
  if (String(level[0].sum) !== published.sum || toHex(level[0].hash) !== published.root) {
    throw new Unproven("The leaves do not add up to the published root.");
  }
  if (toHex(await sha256(list)) !== published.leaves) {
    throw new Unproven("This is not the list that the manifest names.");
  }
  return level[0].sum;
}

// --- The older format -----------------------------------------------------------------

/** Return {user, sum} of a partial tree that leads to a root file. Throws Unproven. */
export async function verifyLegacy(partial, root) {
  const [shown, published] = [parsed(partial), parsed(root)];
  const keys = isObject(shown) ? Object.keys(shown).filter((key) => key !== "id") : [];
  if (keys.length !== 1 || keys[0] !== "partial_tree") {
    throw new Unproven("There must be a partial tree, and nothing else.");
  }
  if (typeof (shown.id ?? "") !== "string" || shown.id === null) {
    throw new Unproven("The id must be a text.");
  }
  if (!isObject(published) || !("root" in published)) throw new Unproven("There must be a root.");
  const wanted = keyed(published.root, "sum", "hash");
  const users = [];
  const [total, hash] = await fold(shown.partial_tree, users, 0);
  if (users.length !== 1) throw new Unproven("There must be one user in the tree.");
  if (total !== legacyUnits(wanted.sum) || hash !== matched(HASH, wanted.hash)) {
    throw new Unproven("The tree does not lead to the published root.");
  }
  return users[0];
}

async function fold(tree, users, depth) {
  if (depth > LEGACY_DEPTH_MAX) throw new Unproven("The tree is too deep.");
  if (isObject(tree) && "data" in tree) return legacyLeaf(keyed(tree, "data").data, users);
  keyed(tree, "left", "right");
  const [leftSum, left] = await fold(tree.left, users, depth + 1);
  const [rightSum, right] = await fold(tree.right, users, depth + 1);
  const total = leftSum + rightSum;
  const preimage = `${legacyText(total)}|${left}|${right}`;
  return [total, toHex(await sha256(bytesOf(preimage)))];
}

async function legacyLeaf(data, users) {
  if (isObject(data) && "user" in data) {
    // No hash of its own: it is computed here, or it would prove nothing.
    const { user, sum, nonce } = keyed(data, "user", "sum", "nonce");
    matched(USER, user);
    matched(LEGACY_NONCE, nonce);
    const units = legacyUnits(sum);
    users.push({ user, sum });
    return [units, toHex(await sha256(bytesOf(`${user}|${sum}|${nonce}`)))];
  }
  const { sum, hash } = keyed(data, "sum", "hash");
  return [legacyUnits(sum), matched(HASH, hash)];
}

function legacyUnits(text) {
  const [whole, digits = ""] = matched(LEGACY_SUM, text).split(".");
  return BigInt(whole) * 10n ** 18n + BigInt(digits.padEnd(18, "0"));
}

/** Write units of 10^-scale in the shortest decimal form. */
export function textOf(units, scale) {
  const one = 10n ** BigInt(scale);
  const digits = String(units % one).padStart(scale, "0").replace(/0+$/, "");
  return digits && scale ? `${units / one}.${digits}` : String(units / one);
}

const legacyText = (units) => textOf(units, 18);
