"""HTTP for applications: the receiver of notifications. Needs the extra `web`."""
