"""
The host for provider sandboxes: real HTTP on loopback, one clock, faults on demand, control endpoints.

A plugin offers a `Sandbox`; the host serves it. `api` holds the contract, `server` runs it, and `clock`, `faults`,
`wire`, `courier`, `control`, `limits` and `state` are the parts a plugin builds its gateway from.

Needs the extra "sandbox" (starlette, uvicorn).
"""
