"""
Deterministic simulation: what an application runs, under faults drawn from a seed.

Each simulated process has a real `AsyncClient` on an event loop of its own, whose time is the scheduler's.
What lies below the engine is simulated: the network under its sender, its access to the one SQLite ledger,
ids and clocks. A killed process is never continued; a suspended one continues later. The same seed gives the
same run, byte for byte.

    python -m tests.simulation --seed 7                       one run, with its log
    python -m tests.simulation --seed 7 --mutant NAME         the same with a planted bug
    python -m tests.simulation --seeds 0-10000 --jobs 2       many runs, one line
    python -m tests.simulation --mutants                      every planted bug, and the seed that caught it
    python -m tests.simulation --seeds 0-300 --set-clock-back     the machine's clock is set back at times

    scheduler     the virtual clock, what happens when, the log
    plan          what a seed determines: fault rates, gateway, purchases
    drawing       draws it
    loop          asyncio on the virtual clock
    processes     a client with its loop, killed, stopped and started at any moment
    ledgers       the ledger, and each process's access to it
    wire          the fates of a request and of its reply
    gateway       the provider's side: orders, captures, refunds, charges and charge backs, tokens
    outside       payers, the delivery of notifications, forgers
    applications  callers and workers
    delivery      readers of the change feed, and what they must be handed over
    office        an operator, who records what no query tells and acknowledges reviews
    witness       observes everything, and reports at once what must never happen:
    rules           for a payment at every commit
    sends           for every request, from its intent to its end
    waits           for waiters, and what they wait for
    traffic         for the request budget of each account
    audit         what must hold at the end
    world         one run of one seed
    outages       the plan of a provider that is away for an hour
    mutants       planted bugs, each of which a run must catch; and controls, which it must not
"""
