"""
Signs webhooks as PayPal does: RSA PKCS#1 v1.5 with SHA-256, over ids, time and a checksum of the body.

The key and its certificate are public: they are this sandbox's, and sign nothing else. Source: SOURCES.md §12.
"""

from __future__ import annotations

import base64
import hashlib
import zlib

MODULUS = int(
    "b5b520e8ef17b3579f41a7bf3227ad23c0191d2d2e1f96d8c463c4fbdd87a8db56c4ace9d596f974338318571d968fd3"
    "44270d493b5ec4824c40bf43a6e3301cbe75e98da85b494a79a0c4b00bb2c54283f87fce39cc5a658b64e1daccf85b0c"
    "3531a0708e5f0205cbf1e52aeb9c0651e0927518ea2f8b502baaec59d0bd59b63b18ad2e00c1f0f67449243b8ffd7002"
    "d6418c5f9c7e5143b83a2333b907fb9e75652a5d9d0579a497a8dc6ede9994288b7bb541833ccb8aee815586551229c4"
    "de99aa76f98874ca49d0549223d26ef997e334f09c116811b268127360b2e145fe17f49cbec96e35690797c3989ade83"
    "1a003e53bcbb7faf97a8961b216405db",
    16,
)
EXPONENT = int(
    "40bd762a47f593ca664d882cd0fbddee5ce515c62126d4220b66d8aa3c35b76ddeae58453ffa788a7448030616deac03"
    "c3c67e2f575dde79e61d3388310fc4f698cd7e1720a2d5ac1945b48e5cbca71799d991ffb20c233106c73cc92e3a5686"
    "34f5a78a32cf9af2e1c51fb77916b011c007ae7ce0036c8975e5822c45f910db08e68bc26215d186bc40ff6612bda102"
    "59e1a854f36f610e2bcb2ff65618aa2d04d0590a632a76ca7b623748010e205c0ebf0dc0c7098c20d73cb6beb65bf45a"
    "67c51ccecee57653cd5afab3f28153deb2e9373f09ab479955b54eeef05e9c0dccf120b261bee052306a0bcd37b9d4ae"
    "21f06c988a54872a0cd0ff9a7202db31",
    16,
)

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIC5TCCAc2gAwIBAgIBATANBgkqhkiG9w0BAQsFADA2MTQwMgYDVQQDDCttZXNz
YWdldmVyaWZpY2F0aW9uY2VydHMuc2FuZGJveC5wYXlwYWwuY29tMB4XDTI2MDEw
MTAwMDAwMFoXDTQ2MDEwMTAwMDAwMFowNjE0MDIGA1UEAwwrbWVzc2FnZXZlcmlm
aWNhdGlvbmNlcnRzLnNhbmRib3gucGF5cGFsLmNvbTCCASIwDQYJKoZIhvcNAQEB
BQADggEPADCCAQoCggEBALW1IOjvF7NXn0GnvzInrSPAGR0tLh+W2MRjxPvdh6jb
VsSs6dWW+XQzgxhXHZaP00QnDUk7XsSCTEC/Q6bjMBy+demNqFtJSnmgxLALssVC
g/h/zjnMWmWLZOHazPhbDDUxoHCOXwIFy/HlKuucBlHgknUY6i+LUCuq7FnQvVm2
OxitLgDB8PZ0SSQ7j/1wAtZBjF+cflFDuDojM7kH+551ZSpdnQV5pJeo3G7emZQo
i3u1QYM8y4rugVWGVRIpxN6Zqnb5iHTKSdBUkiPSbvmX4zTwnBFoEbJoEnNgsuFF
/hf0nL7JbjVpB5fDmJregxoAPlO8u3+vl6iWGyFkBdsCAwEAATANBgkqhkiG9w0B
AQsFAAOCAQEALaKQEs5AFdzSjxTtjtaqw5X4NksaTX9ZLLcc6rHH6732ee5zQ47Z
blRdLtRtJBsrWoD2KsQzXUkPJKVxRqZ2PBW6P7rmlWJsf8SR8DkllZAHHXSQoowQ
kwjrHb01KgjGfXqegEJ+OXZ8dnrn1Zb5XlIyNYksccdW8mWbDHL5D4eeW40qQLve
COAVmXHRMjsY60vu9Q/Go072CwrIFTxWdo+/k/AFtqdLtl/syYFq//rUbtqzN16s
x4GWemE6yy5rK9TKQaFUAbdriMXehXzY5/pfJF1ZaZLVutYO6kv7z3dQFam62b/i
l0zwEL6KcAuhOtqY9CYOxwToqO+vHli2Ew==
-----END CERTIFICATE-----
"""

_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""What says that the hash is SHA-256. Source: RFC 8017, section 9.2."""


def base_string(transmission_id: str, at: str, webhook_id: str, body: bytes) -> str:
    """What is signed; the checksum is an unsigned decimal number."""
    return f"{transmission_id}|{at}|{webhook_id}|{zlib.crc32(body)}"


def sign(text: str) -> str:
    """The signature, as base64."""
    size = (MODULUS.bit_length() + 7) // 8
    number = pow(_padded(text, size), EXPONENT, MODULUS)
    return base64.b64encode(number.to_bytes(size, "big")).decode()


def is_signed(text: str, signature: str) -> bool:
    """Whether this sandbox's key made the signature."""
    try:
        given = int.from_bytes(base64.b64decode(signature, validate=True), "big")
    except ValueError:
        return False
    size = (MODULUS.bit_length() + 7) // 8
    return given < MODULUS and pow(given, 65537, MODULUS) == _padded(text, size)


def _padded(text: str, size: int) -> int:
    told = _DIGEST_INFO + hashlib.sha256(text.encode()).digest()
    return int.from_bytes(b"\x00\x01" + b"\xff" * (size - len(told) - 3) + b"\x00" + told, "big")
