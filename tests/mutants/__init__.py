"""
Mutation testing: each small change of the code that decides about money must make some narrow test fail.

The changes are mutmut's. Its runner is not used: it names modules by their path, so that no test belongs to
the plugin's; it leaves out properties and everything outside functions, which are most of `domain.payment`
and of QFPay's table; and it numbers its mutants, so that a list of the equivalent ones would not survive
an edit. Here a mutant is named by the lines it changes, and planted in a process forked from one that has
collected the tests already.
"""
