"""
Hostile input to paycore: each row of the documentation's table of what the building blocks do with it.

    .venv/bin/python -m pytest tests/hostile

`gateway` carries requests out and then gives the answers of a test. `shops` has two clients of it, one with the
toy and one with the QFPay plugin. `appetite` is a child process whose memory is measured.
"""
