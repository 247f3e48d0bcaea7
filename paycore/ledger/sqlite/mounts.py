"""Finds the file system a path is on: locks do not hold reliably on network file systems."""

from __future__ import annotations

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

NETWORK = frozenset(
    "9p afs ceph cifs coda fuse.glusterfs fuse.rclone fuse.s3fs fuse.sshfs gfs2 gpfs lustre ncpfs"
    " nfs nfs4 smb3 smbfs".split()
)
"""File system types by their kernel names; `9p` includes shared folders of virtual machines."""


def network_file_system(path: Path) -> str | None:
    """The type of the network file system `path` is on; None when it is local or unknown."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real = os.path.realpath(path)
    best, kind = -1, ""
    for line in lines:
        # "36 35 98:0 /root /mount/point rw,noatime - ext4 /dev/root rw": proc(5), /proc/pid/mountinfo
        before, _, after = line.partition(" - ")
        point = _unescaped(before.split(" ")[4])
        # A later mount on the same point hides the earlier one.
        if _is_below(real, point) and len(point) >= best:
            best, kind = len(point), after.split(" ")[0]
    return kind if kind in NETWORK else None


def _is_below(path: str, point: str) -> bool:
    return point in ("/", path) or path.startswith(f"{point}/")


def _unescaped(field: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field
