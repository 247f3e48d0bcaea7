"""
The conformance kit: named checks that prove a provider right, against its own sandbox, through the real core.

```python
# in the plugin's test suite: one test per check
from paycore.testing import conformance_of

test_conformance = conformance_of("acme")
```

```sh
paycore plugins check acme
```

```python
from paycore.testing import check_provider

report = check_provider("acme")
report.is_passed
```
"""
