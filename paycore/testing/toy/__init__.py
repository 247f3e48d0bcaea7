"""
A minimal provider and its gateway: test doubles.

The provider is complete (flows, capabilities, signed notifications); the gateway is a plain object that turns a
`Request` into a `Response` and counts every charge. Amounts are minor units in JSON.

    POST /orders    {number, reference, minor, currency, channel}    ->  {id, status, url, ...}
    POST /query     {numbers} or {ids}                               ->  {records: [{number, id, status, minor, ...}]}
    POST /captures  {number, order, authorization, minor}            ->  {id, status, ...}
    POST /refunds   {number, order, charge, minor, reason}           ->  {id, status}
    POST /close     {number, order}                                  ->  {id, status}
    POST /list      {since, until, cursor}                           ->  {records: [{..., reference}], cursor}
    POST /token     {key, nonce}                                     ->  {token, lasts_s}

What goes beyond the smallest provider (captures, a lookup by id, windows, mentions) is declared by the settings;
`SessionToyProvider` needs a token for every request.
"""

from paycore.testing.toy.provider import ResendEffect, SessionToyProvider, ToyProvider, ToySettings
from paycore.testing.toy.toy_answers import (
    LETTERS_AND_DIGITS,
    SIGNATURE_HEADER,
    post,
    read_record,
    sign,
)
from paycore.testing.toy.toy_gateway import ToyCapture, ToyGateway, ToyOrder

__all__ = [
    "LETTERS_AND_DIGITS",
    "SIGNATURE_HEADER",
    "ResendEffect",
    "SessionToyProvider",
    "ToyCapture",
    "ToyGateway",
    "ToyOrder",
    "ToyProvider",
    "ToySettings",
    "post",
    "read_record",
    "sign",
]
