"""
Hostile input to paycore: each row of the documentation's table of what the building blocks do with it.

    .venv/bin/python -m pytest tests/hostile

A gateway that carries requests out and then answers with whatever a test wants (`gateway`), two shops that
talk to it, one by the toy and one by the QFPay plugin (`shops`), and a child process whose memory is measured
(`appetite`).
"""
