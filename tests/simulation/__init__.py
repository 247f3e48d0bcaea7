"""
Deterministic simulation: the real commands, worker and ledger under faults drawn from a seed.

Commands are generators that yield effects, so a scheduler can perform the effects of many processes on one
virtual clock: it interleaves them, kills processes between any two effects, and loses, delays and garbles what
goes over the wire. The same seed gives the same run, byte for byte.

    python -m tests.simulation --seed 7                  one run, with its log
    python -m tests.simulation --seed 7 --mutant NAME    the same with a planted bug
    python -m tests.simulation --seeds 0-300             many runs, one line
    python -m tests.simulation --mutants                 every planted bug, and the seed that caught it

    scheduler     the virtual clock, what happens when, the log
    plan          what a seed means: weather, gateway, purchases
    processes     processes and their programs: performs effects, crashes, pauses
    wire          what can become of a request and of its reply
    gateway       the provider's side: orders, refunds, charges
    outside       payers, notifications on their way, forgers
    applications  callers, workers and the notification receiver
    witness       what must hold, at every moment and at the end
    world         one run of one seed
    mutants       planted bugs, each of which a run must catch
"""
