"""
The kill matrix: a real process is killed at every step of every operation, and the money is counted afterwards.

    python -m tests.kill --rounds 10 --databases sqlite postgres
"""
