"""Verifies proofs of the disclosure log as a stranger would: written from RFC 9162 and docs/disclosure-log.md, without our code.

verify_log.py inclusion RECEIPT PROOF JWKS: that the receipt is in the log; prints the entry.
verify_log.py consistency OLDER_HEAD NEWER_HEAD PROOF JWKS: that the newer log continues the older one.
Exits 0, or says why not and exits 1.
"""

import base64
import hashlib
import hmac
import json
import sys
from pathlib import Path

from jwcrypto import jwk, jws
from jwcrypto.common import JWException


class Refused(Exception):
    pass


def must(holds: bool, why: str) -> None:
    if not holds:
        raise Refused(why)


def signed(token_text: str, key_set: str, typ: str) -> dict:
    token = jws.JWS()
    token.allowed_algs = ["EdDSA"]
    token.deserialize(token_text.strip())
    key = jwk.JWKSet.from_json(key_set).get_key(token.jose_header["kid"])
    must(key is not None, "the key set has no such key")
    token.verify(key)
    must(token.jose_header["typ"] == typ, f"not the header of a {typ}")
    return json.loads(token.payload)


def octets(text: str) -> bytes:
    value = base64.b64decode(text, validate=True)
    must(len(value) == 32, "not 32 bytes")
    return value


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(hash_: bytes, index: int, size: int, path: list, root: bytes) -> None:
    """RFC 9162, section 2.1.3.2."""
    must(index < size, "the position is not in the tree")
    fn, sn, r = index, size - 1, hash_
    for p in path:
        must(sn != 0, "the path is too long")
        if fn & 1 or fn == sn:
            r = node(p, r)
            if not fn & 1:
                while fn and not fn & 1:
                    fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    must(sn == 0, "the path is too short")
    must(r == root, "the path does not lead to the root")


def check_consistency(first: int, second: int, first_root: bytes, second_root: bytes, path: list) -> None:
    """RFC 9162, section 2.1.4.2."""
    must(0 < first <= second, "no such trees")
    if first == second:
        must(not path and first_root == second_root, "two trees of one size")
        return
    must(bool(path), "an empty path")
    if first & (first - 1) == 0:
        path = [first_root] + path
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        must(sn != 0, "the path is too long")
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            if not fn & 1:
                while fn and not fn & 1:
                    fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    must(sn == 0, "the path is too short")
    must(fr == first_root, "the older root does not follow")
    must(sr == second_root, "the newer root does not follow")


def keyed(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def inclusion(receipt: str, proof_text: str, key_set: str) -> dict:
    receipt = receipt.strip()
    said = signed(receipt, key_set, "ontvangstbewijs+jws")
    proof = json.loads(proof_text)
    head = signed(proof["head"], key_set, "tree-head+jws")
    must(head["size"] == proof["size"], "the proof is of another tree than the head")
    must(head["issuer"] == said["issuer"], "the log of another gateway")
    entry_text = proof["entry"].encode()
    path = [octets(hash_) for hash_ in proof["path"]]
    check_inclusion(leaf(entry_text), proof["position"], proof["size"], path, octets(head["root"]))

    entry = json.loads(entry_text)
    canonical = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    must(canonical == entry_text, "the entry is not in its canonical form")
    key = octets(proof["digest_key"])
    must(entry["digest"] == keyed(key, receipt.encode()), "the entry is of another receipt")
    message = said["message"]
    if "source" in message and "id" in message:
        named = message["source"].encode() + b"\x00" + message["id"].encode()
        must(entry["message"] == keyed(key, named), "the entry is of another message")
    recipient = said.get("recipient") or {}
    pairs = [
        ("kind", "receipt"),
        ("receipt", said["id"]),
        ("outcome", said["outcome"]),
        ("time", said["time"]),
        ("policy_version", said["policy_version"]),
        ("mapping_version", said["mapping_version"]),
        ("recipient", recipient.get("party")),
        ("role", recipient.get("role")),
    ]
    for name, value in pairs:
        must(entry.get(name) == value, f"{name}: the entry says {entry.get(name)}, the receipt {value}")
    return entry


def consistency(older: str, newer: str, proof_text: str, key_set: str) -> dict:
    first, second = (signed(head, key_set, "tree-head+jws") for head in (older, newer))
    must(first["issuer"] == second["issuer"], "logs of two gateways")
    proof = json.loads(proof_text)
    must((proof["from"], proof["to"]) == (first["size"], second["size"]), "the proof is of other trees")
    path = [octets(hash_) for hash_ in proof["path"]]
    check_consistency(first["size"], second["size"], octets(first["root"]), octets(second["root"]), path)
    return second


def main() -> int:
    judge = {"inclusion": inclusion, "consistency": consistency}[sys.argv[1]]
    try:
        said = judge(*(Path(path).read_text(encoding="utf-8") for path in sys.argv[2:]))
    except (JWException, Refused, ValueError, KeyError) as refused:
        print(f"refused: {type(refused).__name__}: {refused}")
        return 1
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
