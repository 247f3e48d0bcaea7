"""Objects and pages of lists as the API shows them. Source: docs.stripe.com/api/expanding_objects, /pagination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stripe_checkout.sandbox.refusals import invalid, missing
from stripe_checkout.sandbox.store import Object, Store, public

_KINDS = {"payment_intent": "payment_intent", "latest_charge": "charge", "charge": "charge"}
_DEPTH_MAX = 4
_LIMIT_DEFAULT = 10


def expanded(store: Store, thing: Object, paths: Sequence[str]) -> Object:
    """An object with what `paths` name in place of its ids; 400 for what can't be expanded."""
    shown = public(thing)
    for path in paths:
        words = path.split(".")
        if len(words) > _DEPTH_MAX:
            raise invalid("You can only expand 4 levels of a property.", param="expand")
        shown = _expand(store, shown, words)
    return shown


def _expand(store: Store, thing: Object, words: Sequence[str]) -> Object:
    name = words[0]
    if name not in thing:
        raise invalid(f"This property cannot be expanded ({name}).", param="expand")
    found = thing[name]
    if isinstance(found, str):
        stored = store.get(_KINDS.get(name, ""), found)
        if stored is None:
            raise invalid(f"This property cannot be expanded ({name}).", param="expand")
        found = public(stored)
    if len(words) > 1 and isinstance(found, dict):
        found = _expand(store, found, words[1:])
    return thing | {name: found}


def page(
    store: Store,
    things: Sequence[Object],
    params: Mapping[str, Any],
    url: str,
    *,
    filters: Sequence[str] = (),
) -> Object:
    """A page of a list, newest first."""
    for name in filters:
        if name in params:
            things = [one for one in things if one.get(name) == params[name]]
    things = [one for one in things if _made_in(one["created"], params.get("created", {}))]
    if "starting_after" in params and "ending_before" in params:
        raise invalid("You cannot parameterize both starting_after and ending_before.", param="ending_before")
    limit = params.get("limit", _LIMIT_DEFAULT)
    if "ending_before" in params:
        end = _place(things, params["ending_before"], "ending_before")
        start = max(0, end - limit)
        has_more = start > 0
    else:
        start = (
            _place(things, params["starting_after"], "starting_after") + 1
            if "starting_after" in params
            else 0
        )
        end = start + limit
        has_more = len(things) > end
    paths = params.get("expand", [])
    wrong = [path for path in paths if not path.startswith("data.")]
    if wrong:
        raise invalid(f"This property cannot be expanded ({wrong[0]}).", param="expand")
    inner = [path.removeprefix("data.") for path in paths]
    data = [expanded(store, one, inner) for one in things[start:end]]
    return {"object": "list", "url": url, "has_more": has_more, "data": data}


def _place(things: Sequence[Object], object_id: str, param: str) -> int:
    for place, one in enumerate(things):
        if one["id"] == object_id:
            return place
    raise missing("object", object_id, param)


def _made_in(created: int, bounds: Mapping[str, int]) -> bool:
    return (
        created >= bounds.get("gte", created)
        and created <= bounds.get("lte", created)
        and ("gt" not in bounds or created > bounds["gt"])
        and ("lt" not in bounds or created < bounds["lt"])
    )
