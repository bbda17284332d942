"""Signing what you send to the gateway, and opening what it sends to you, with jwcrypto.

An example to build on, not a product: your private keys belong in a vault or an HSM.

partner_keys.py new PRIVATE PUBLIC
    makes a key for signing and one for encryption, and writes two key sets: PRIVATE stays with you, PUBLIC
    (YOUR-NAME.jwks.json) goes to whoever keeps the gateway's partner directory.
partner_keys.py sign PRIVATE ATTRIBUTES DATA
    prints the event with the attributes of the JSON file ATTRIBUTES, the data of the file DATA, and its signature.
partner_keys.py open PRIVATE GATEWAY EVENT [AUDIENCE]
    prints the data of an event as you got it, once it is opened and its signature verified with the key set GATEWAY
    (/.well-known/jwks.json), for AUDIENCE where that is given. Ends with 1 where anything is not as it should be, and says what.
"""

import base64
import json
import os
import sys
from pathlib import Path

from jwcrypto import jwe, jwk, jws
from jwcrypto.common import JWException

# What carries a message on may change these, so they are not signed.
UNSIGNED = {"data", "data_base64", "signature", "traceparent", "tracestate"}


def text(value) -> str:
    """An attribute as it stands in a header."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def attributes(event: dict) -> dict:
    return {name: text(value) for name, value in event.items() if name not in UNSIGNED}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new(private: str, public: str) -> None:
    sign = jwk.JWK.generate(kty="OKP", crv="Ed25519", use="sig", alg="EdDSA")
    encrypt = jwk.JWK.generate(kty="EC", crv="P-256", use="enc", alg="ECDH-ES")
    keys = [key.export(as_dict=True) | {"kid": key.thumbprint()} for key in (sign, encrypt)]
    with open(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump({"keys": keys}, out, indent=2)
    without_private = [{name: value for name, value in key.items() if name != "d"} for key in keys]
    Path(public).write_text(json.dumps({"keys": without_private}, indent=2))


def key_for(use: str, private: str) -> jwk.JWK:
    keys = json.loads(Path(private).read_text())["keys"]
    return jwk.JWK(**next(key for key in keys if key["use"] == use))


def sign(private: str, attributes_file: str, data_file: str) -> dict:
    event = json.loads(Path(attributes_file).read_text())
    data = Path(data_file).read_bytes()
    key = key_for("sig", private)
    header = {"alg": key["alg"], "kid": key["kid"], "ce": attributes(event)}
    token = jws.JWS(data)
    token.add_signature(key, protected=json.dumps(header))
    protected, _payload, signature = token.serialize(compact=True).split(".")
    # The payload is the data of the event, so it is left out of the JWS.
    event["signature"] = f"{protected}..{signature}"
    event["data_base64"] = base64.b64encode(data).decode()
    return event


def data_of(event: dict) -> bytes:
    if "data_base64" in event:
        return base64.b64decode(event["data_base64"])
    return event["data"].encode()


def verified(token_text: str, gateway: str, event: dict, audience: str | None) -> bytes:
    keys = jwk.JWKSet.from_json(Path(gateway).read_text())
    token = jws.JWS()
    token.allowed_algs = ["EdDSA"]
    token.deserialize(token_text)
    header = token.jose_header
    key = keys.get_key(header["kid"])
    if key is None:
        raise ValueError("the gateway has no such key")
    token.verify(key)
    if header["typ"] != "cloudevent+jws":
        raise ValueError("not the signature of an event")
    if header["ce"] != attributes(event):
        raise ValueError("signed for another event")
    if audience is not None and header["aud"] != audience:
        raise ValueError("signed for somebody else")
    return token.payload


def open_event(private: str, gateway: str, event_file: str, audience: str | None = None) -> bytes:
    event = json.loads(Path(event_file).read_text())
    data = data_of(event)
    if "signature" in event:
        protected, _none, signature = event["signature"].split(".")
        return verified(f"{protected}.{b64(data)}.{signature}", gateway, event, audience)
    if event["datacontenttype"] != "application/jose":
        raise ValueError("neither signed nor encrypted")
    token = jwe.JWE()
    token.allowed_algs = ["ECDH-ES", "ECDH-ES+A256KW", "A256GCM"]
    token.deserialize(data.decode())
    token.decrypt(key_for("enc", private))
    if token.jose_header["ce"] != attributes(event):
        raise ValueError("encrypted for another event")
    if token.jose_header["cty"] == "application/jose":
        return verified(token.payload.decode(), gateway, event, audience)
    return token.payload


def main() -> int:
    command, arguments = sys.argv[1], sys.argv[2:]
    try:
        if command == "new":
            new(*arguments)
        elif command == "sign":
            print(json.dumps(sign(*arguments)))
        else:
            sys.stdout.buffer.write(open_event(*arguments))
    except (JWException, ValueError, KeyError) as refused:
        print(f"refused: {type(refused).__name__}: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
