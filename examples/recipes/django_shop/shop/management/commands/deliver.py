"""`python manage.py deliver`: delivers what is paid, until Ctrl-C."""

from typing import Any

from django.core.management.base import BaseCommand
from shop.models import Parcel
from shop.views import client


class Command(BaseCommand):
    """Each payment once, however many of these run and whenever they die."""

    help = "Deliver what is paid, until Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        """Pack a parcel for each change, in a transaction of the shop's database."""
        for change in client().changes("parcels", kinds=("paid",), from_start=True):
            Parcel.objects.get_or_create(key=change.key, defaults={"reference": change.payment.reference})
