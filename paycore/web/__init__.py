"""HTTP for applications: the receiver of notifications. Needs the extra `web`."""

from paycore.web.receiver import notifications

__all__ = ["notifications"]
