"""The Django shop, by gunicorn and by `runserver`."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.recipes.web.conftest import RECIPES, Shop, wait_until

WORKERS = [
    "--workers=2 --threads=4 --preload",
    *(
        pytest.param(options, marks=pytest.mark.proof)
        for options in (
            "--workers=2 --worker-class=gevent --preload",
            "--workers=2 --worker-class=gevent",
            "--workers=2 --threads=4",
            "--workers=2",
        )
    ),
]


@pytest.mark.parametrize("workers", WORKERS)
def test_django_shop_sells(shop: Shop, workers: str) -> None:
    """Every order is made once, paid, known by its notification, and delivered once, whichever workers serve."""
    options = [f"--bind=127.0.0.1:{shop.port}", *workers.split()]
    with shop.process("gunicorn", "shop.wsgi", *options, recipe="django_shop"):
        shop.wait_until_open()
        sold = shop.sell()
        assert shop.refuses() == [400, 404]
        wait_until(lambda: shop.notified() >= len(sold))
    assert shop.is_closed()
    check_delivered(shop, sold)


@pytest.mark.proof
def test_django_shop_sells_by_runserver(shop: Shop) -> None:
    """The development server makes each request in a thread; its reloader starts another process on a change."""
    settings = shop.folder / "settings_of_a_test.py"
    settings.write_text("from shop.settings import *\n")
    environment = {
        "DJANGO_SETTINGS_MODULE": "settings_of_a_test",
        "PYTHONPATH": f"{shop.folder}:{RECIPES / 'django_shop'}",
        "SHOP_DEBUG": "1",
    }
    with shop.process("django", "runserver", f"127.0.0.1:{shop.port}", **environment):
        shop.wait_until_open()
        sold = shop.sell(3)
        assert not shop.is_closed()
        time.sleep(1.1)  # the reloader looks at the times of files once a second
        settings.write_text("from shop.settings import *\nRELOADED = True\n")
        wait_until(shop.is_closed)  # the old process has closed its client
        wait_until(shop.answers)
        sold += shop.sell(1)
    check_delivered(shop, sold)


def check_delivered(shop: Shop, sold: list[str]) -> None:
    """The command delivers each order once."""
    manage(shop.folder, "migrate", "--verbosity=0")
    with shop.process("django", "deliver", recipe="django_shop", DJANGO_SETTINGS_MODULE="shop.settings"):
        wait_until(lambda: len(shop.parcels("shop_parcel")) == len(sold))
    assert sorted(shop.parcels("shop_parcel")) == sorted(sold)


def manage(folder: Path, *words: str) -> None:
    """Run a command of the project."""
    subprocess.run(
        [sys.executable, "-B", str(RECIPES / "django_shop" / "manage.py"), *words],
        cwd=folder,
        env={"SHOP_SECRET": "a-secret", "HOME": str(folder)},
        check=True,
        timeout=60,
    )


def test_django_shop_has_its_migrations(shop: Shop) -> None:
    """The project passes Django's checks, and its migrations make its models."""
    manage(shop.folder, "makemigrations", "--check", "--dry-run")
