"""
The host for provider sandboxes: HTTP on loopback, a virtual clock, faults on demand, control endpoints.

A plugin offers a `Sandbox`; the host serves it. `api` holds the contract, `server` runs it. A plugin builds its gateway
from `connection`, `control`, `deliveries`, `faults`, `posts`, `rate_limits`, `state`, `templates` and `virtual_clock`,
or makes it one class by `scripted`.

Needs the extra "sandbox" (starlette, uvicorn, jinja2).
"""
