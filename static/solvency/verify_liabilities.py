#!/usr/bin/env python3
"""
Checks what an exchange says that it owes, on your own machine. Python 3.8 or newer and
nothing else; no network. Read it before you run it: it is meant to be read.

  verify_liabilities.py proof PROOF.json MANIFEST.json
      Is your balance in the total? PROOF.json is yours, MANIFEST.json is published.

  verify_liabilities.py leaves LEAVES.bin MANIFEST.json ASSET
      Does the published list of all leaves add up to the published total?

  verify_liabilities.py chain MANIFEST.json MANIFEST.json ...
      Are these manifests, from the first one on, one history? What you saved earlier
      must be among them: compare the hash that is printed with the one others see.

  verify_liabilities.py legacy PARTIAL.json ROOT.json
      The same as `proof` in the older format of olalonde and the gem liability-proof.
      Weaker: such a tree binds no child's share of a sum, so that who publishes it can
      show each member a path that holds and still leave debts out.

Prints what was proven. Ends with 0 where it is, with 1 where it is not, and with 2
where a file cannot be read.
"""

import hashlib
import json
import re
import struct
import sys

SUM_MAX = 2**63 - 1
FILE_MAX = 50_000_000  # of JSON; the list of leaves is read piece by piece
PROOF_MAX = 1_000_000
HASH = re.compile(r"[0-9a-f]{64}")
AMOUNT = re.compile(r"0|[1-9][0-9]{0,18}")
NONCE = re.compile(r"(?:[0-9a-f]{2}){16,64}")
USER = re.compile(r"(?! )[^|\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,254}(?<! )")
LEGACY_SUM = re.compile(r"(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{0,17}[1-9])?")
LEGACY_NONCE = re.compile(r"[0-9a-f]{32,128}")
PARTS_MAX = 10
LEGACY_DEPTH_MAX = 64


class Unproven(Exception):
    """It does not prove what it says, and why."""


# --- Reading -------------------------------------------------------------------------


def read(path):
    with open(path, "rb") as file:  # noqa: PTH123 - whoever reads this knows open
        return file.read(FILE_MAX + 1)


def parsed(text):
    if len(text) > PROOF_MAX:
        raise Unproven("The file is too long.")
    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Unproven("This is no JSON.") from None


def once(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unproven("Something is said twice.")
    return found


def keyed(shown, *keys):
    if not isinstance(shown, dict) or set(shown) != set(keys):
        raise Unproven(f"There must be {', '.join(keys)}, and nothing else.")
    return [shown[key] for key in keys]


def matched(pattern, text):
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise Unproven(f"This is malformed: {str(text)[:40]!r}")
    return text


def amount_of(text):
    amount = int(matched(AMOUNT, text))
    if amount > SUM_MAX:
        raise Unproven("An amount is too large.")
    return amount


# --- The tree "xpol2" ----------------------------------------------------------------


def hashed(tag, *fields):
    """SHA-256 of a tag and fields, each with its length before it."""
    preimage = len(tag).to_bytes(2, "big") + tag
    for field in fields:
        preimage += len(field).to_bytes(4, "big") + field
    return hashlib.sha256(preimage).digest()


def node_hash(left_sum, left, right_sum, right):
    one, two = b"%d" % left_sum, b"%d" % right_sum
    return hashed(b"xpol2/node", one, left, two, right)


def verify_proof(text, manifest):
    """Return whose a proof is, the asset, and their amount in base units."""
    format, asset, snapshot, user, leaves = keyed(
        parsed(text), "format", "asset", "snapshot", "user", "leaves"
    )
    if format != "xpol2/proof":
        raise Unproven("This is no proof of this format.")
    if snapshot != manifest["snapshot"]:
        raise Unproven("The proof is of another snapshot than the manifest.")
    published = asset_of(manifest, asset)
    matched(USER, user)
    if not isinstance(leaves, list) or not 0 < len(leaves) <= PARTS_MAX:
        raise Unproven("The proof has no leaves, or too many.")
    total, places, hashes = 0, set(), set()
    for leaf in leaves:
        place, amount, nonce, path = keyed(leaf, "position", "amount", "nonce", "path")
        amount = amount_of(amount)
        nonce = bytes.fromhex(matched(NONCE, nonce))
        texts = [part.encode() for part in (asset, snapshot, user, str(amount))]
        hash = hashed(b"xpol2/leaf", *texts, nonce)
        climb(hash, amount, place, path, published)
        total += amount
        places.add(place)
        hashes.add(hash)
    if len(places) < len(leaves) or len(hashes) < len(leaves):
        raise Unproven("A leaf is counted twice.")
    if total > amount_of(published["sum"]):
        raise Unproven("The leaves hold more than the whole tree.")
    return user, asset, total


def climb(hash, sum, place, path, published):
    depth = published["depth"]
    if type(place) is not int or not 0 <= place < 2**depth:
        raise Unproven("A leaf is at no place of the tree.")
    if not isinstance(path, list) or len(path) != depth:
        raise Unproven("A path is not as long as the tree is deep.")
    for step in path:
        other_sum, other = keyed(step, "sum", "hash")
        other_sum, other = amount_of(other_sum), bytes.fromhex(matched(HASH, other))
        if sum + other_sum > SUM_MAX:
            raise Unproven("A sum is too large.")
        if place & 1:
            hash = node_hash(other_sum, other, sum, hash)
        else:
            hash = node_hash(sum, hash, other_sum, other)
        sum += other_sum
        place >>= 1
    if (str(sum), hash.hex()) != (published["sum"], published["root"]):
        raise Unproven("A path does not lead to the published root.")


def verify_leaves(file, manifest, asset):
    """Add up and hash the whole list, in little memory; return total and count."""
    published = asset_of(manifest, asset)
    record = struct.Struct(">32sQ")
    listed, waiting, count, total = hashlib.sha256(), [], 0, 0
    while True:
        piece = file.read(record.size * 65536)
        if not piece:
            break
        if len(piece) % record.size:
            raise Unproven("The list ends in the middle of a leaf.")
        listed.update(piece)
        for leaf, amount in record.iter_unpack(piece):
            total += amount
            if total > SUM_MAX:
                raise Unproven("A sum is too large.")
            count += 1
            level, sum, hash = 0, amount, leaf
            # A node waits for its right sibling; two of one level become their parent.
            while waiting and waiting[-1][0] == level:
                _level, left_sum, left = waiting.pop()
                hash = node_hash(left_sum, left, sum, hash)
                sum += left_sum
                level += 1
            waiting.append((level, sum, hash))
    if count != 2 ** published["depth"]:
        raise Unproven("The list has not as many leaves as the tree.")
    (_level, sum, hash) = waiting[0]
    if (str(sum), hash.hex()) != (published["sum"], published["root"]):
        raise Unproven("The leaves do not add up to the published root.")
    if listed.hexdigest() != published["leaves"]:
        raise Unproven("This is not the list that the manifest names.")
    return total, count


# --- Manifests -----------------------------------------------------------------------


def open_manifest(envelope):
    """Return manifest, its hash, and the key that signed it."""
    text, public_key, signature = keyed(
        parsed(envelope), "manifest", "public_key", "signature"
    )
    matched(HASH, public_key)
    matched(re.compile("[0-9a-f]{128}"), signature)
    if not isinstance(text, str):
        raise Unproven("There is no manifest.")
    raw = text.encode("utf-8", "surrogatepass")
    if not is_signed(bytes.fromhex(public_key), raw, bytes.fromhex(signature)):
        raise Unproven("The signature of the manifest does not hold.")
    manifest = parsed(text)
    if not isinstance(manifest, dict) or manifest.get("format") != "xpol2/manifest":
        raise Unproven("This is no manifest.")
    if json.dumps(manifest, sort_keys=True, separators=(",", ":")) != text:
        raise Unproven("The manifest is not in its canonical form.")
    return manifest, hashlib.sha256(raw).hexdigest(), public_key


def asset_of(manifest, asset):
    found = [each for each in manifest["assets"] if each["asset"] == asset]
    if len(found) != 1:
        raise Unproven(f"The manifest does not speak of {str(asset)[:20]!r}.")
    return found[0]


def verify_chain(envelopes):
    """Return number, snapshot and hash of the last manifest, and the key."""
    before, snapshot, keys = None, "", set()
    for number, envelope in enumerate(envelopes, 1):
        manifest, hash, key = open_manifest(envelope)
        if manifest["number"] != number or manifest["previous"] != before:
            raise Unproven(f"Manifest {number} does not follow the one before it.")
        if not manifest["snapshot"] > snapshot:
            raise Unproven(f"Manifest {number} is not later than the one before.")
        before, snapshot = hash, manifest["snapshot"]
        keys.add(key)
    if len(keys) != 1:
        raise Unproven("The manifests are signed by more than one key.")
    return len(envelopes), snapshot, before, keys.pop()


# Ed25519 as RFC 8032 writes it, only to verify: slow, and short enough to be read.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def is_signed(public_key, message, signature):
    point, commitment = decompressed(public_key), decompressed(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if point is None or commitment is None or scalar >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    left = times(scalar, BASE)
    right = plus(commitment, times(challenge, point))
    return equal(left, right)


def decompressed(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def plus(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    found = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = plus(found, point)
        point, scalar = plus(point, point), scalar >> 1
    return found


def equal(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 == (a[1] * b[2] - b[1] * a[2]) % P


BASE = decompressed((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


# --- The older format ----------------------------------------------------------------


def verify_legacy(partial, root):
    """Return whose a partial tree is, and their amount as text."""
    shown, published = parsed(partial), parsed(root)
    if not isinstance(shown, dict) or set(shown) - {"id"} != {"partial_tree"}:
        raise Unproven("There must be a partial tree, and nothing else.")
    if not isinstance(shown.get("id", ""), str):
        raise Unproven("The id must be a text.")
    if not isinstance(published, dict) or "root" not in published:
        raise Unproven("There must be a root.")
    wanted_sum, wanted_hash = keyed(published["root"], "sum", "hash")
    users = []
    total, hash = fold(shown["partial_tree"], users, 0)
    if len(users) != 1:
        raise Unproven("There must be one user in the tree.")
    if (total, hash) != (legacy_units(wanted_sum), matched(HASH, wanted_hash)):
        raise Unproven("The tree does not lead to the published root.")
    return users[0]


def fold(tree, users, depth):
    if depth > LEGACY_DEPTH_MAX:
        raise Unproven("The tree is too deep.")
    if isinstance(tree, dict) and set(tree) == {"data"}:
        return legacy_leaf(tree["data"], users)
    left, right = keyed(tree, "left", "right")
    left_sum, left = fold(left, users, depth + 1)
    right_sum, right = fold(right, users, depth + 1)
    total = left_sum + right_sum
    preimage = f"{legacy_text(total)}|{left}|{right}"
    return total, hashlib.sha256(preimage.encode()).hexdigest()


def legacy_leaf(data, users):
    if isinstance(data, dict) and "user" in data:
        # No hash of its own: it is computed here, or it would prove nothing.
        user, sum, nonce = keyed(data, "user", "sum", "nonce")
        matched(USER, user)
        matched(LEGACY_NONCE, nonce)
        units = legacy_units(sum)
        users.append((user, sum))
        preimage = f"{user}|{sum}|{nonce}"
        return units, hashlib.sha256(preimage.encode()).hexdigest()
    sum, hash = keyed(data, "sum", "hash")
    return legacy_units(sum), matched(HASH, hash)


def legacy_units(text):
    whole, _point, digits = matched(LEGACY_SUM, text).partition(".")
    return int(whole) * 10**18 + int(digits.ljust(18, "0"))


def legacy_text(units):
    whole, rest = divmod(units, 10**18)
    digits = f"{rest:018}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


# --- The command ---------------------------------------------------------------------


def run(command, *names):
    if command == "proof" and len(names) == 2:
        manifest, hash, _key = open_manifest(read(names[1]))
        user, asset, total = verify_proof(read(names[0]), manifest)
        scale = asset_of(manifest, asset)["scale"]
        whole = legacy_text(total * 10 ** (18 - scale))
        print(f"Proven: {whole} {asset} of user {user} are in the total.")
        print(f"Snapshot {manifest['snapshot']}, manifest {hash}")
    elif command == "leaves" and len(names) == 3:
        manifest, hash, _key = open_manifest(read(names[1]))
        with open(names[0], "rb") as file:  # noqa: PTH123 - as above
            total, count = verify_leaves(file, manifest, names[2])
        scale = asset_of(manifest, names[2])["scale"]
        whole = legacy_text(total * 10 ** (18 - scale))
        print(f"Proven: {count} leaves add up to {whole} {names[2]}.")
        print(f"Snapshot {manifest['snapshot']}, manifest {hash}")
    elif command == "chain" and names:
        number, snapshot, hash, key = verify_chain([read(name) for name in names])
        print(f"Proven: {number} manifests are one history, up to {snapshot}.")
        print(f"The last one: {hash}\nSigned by: {key}")
    elif command == "legacy" and len(names) == 2:
        user, sum = verify_legacy(read(names[0]), read(names[1]))
        print(f"Proven, as far as this format proves: {sum} of user {user}.")
    else:
        print(__doc__)
        return 2
    return 0


def main(arguments):
    try:
        return run(*(arguments or [""]))
    except Unproven as error:
        print(f"NOT PROVEN: {error}")
        return 1
    except (KeyError, TypeError, AttributeError):
        print("NOT PROVEN: The manifest is malformed.")
        return 1
    except OSError as error:
        print(f"Cannot be read: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
