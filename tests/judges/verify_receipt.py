"""Verifies a receipt with jwcrypto, as a stranger would who never saw our code.

verify_receipt.py RECEIPT JWKS: prints the receipt and exits 0, or says why not and exits 1.
"""

import json
import sys
from pathlib import Path

from jwcrypto import jwk, jws
from jwcrypto.common import JWException


def judge(receipt: str, key_set: str) -> dict:
    keys = jwk.JWKSet.from_json(key_set)
    token = jws.JWS()
    token.allowed_algs = ["EdDSA"]
    token.deserialize(receipt)
    key = keys.get_key(token.jose_header["kid"])
    if key is None:
        raise ValueError("the key set has no such key")
    token.verify(key)
    if token.jose_header["typ"] != "ontvangstbewijs+jws":
        raise ValueError("not the header of a receipt")
    return json.loads(token.payload)


def main() -> int:
    receipt, key_set = (Path(path).read_text(encoding="utf-8") for path in sys.argv[1:])
    try:
        said = judge(receipt.strip(), key_set)
    except (JWException, ValueError, KeyError) as refused:
        print(f"refused: {type(refused).__name__}: {refused}")
        return 1
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
