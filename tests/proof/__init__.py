"""
The proof in one table: what was tried, and how often something was doubled, lost or stuck.

    python -m tests.proof                every step killed once on both databases, 300 simulated seeds
    python -m tests.proof --full         every step killed ten times, 10,000 seeds
"""
