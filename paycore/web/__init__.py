"""HTTP for applications: the receiver of notifications, and metrics. Needs the extra `web`."""

from paycore.web.receiver import notifications
from paycore.web.scraping import metrics

__all__ = ["metrics", "notifications"]
