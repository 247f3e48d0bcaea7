"""What the shop delivers."""

from django.db import models


class Parcel(models.Model):
    """A parcel for a payment; `key` is that of the change that it was packed for, so that there is one."""

    key = models.CharField(max_length=64, primary_key=True)
    reference = models.CharField(max_length=128)

    def __str__(self) -> str:
        """The order it is for."""
        return str(self.reference)
