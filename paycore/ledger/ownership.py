"""
Whether files belong to the user: files that others own or may change are refused.

A configuration says where signatures and passwords are sent, a ledger what was paid. So nobody but the user and
the administrator (root) may be able to write or replace them.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

_ROOT = 0
_LINKS_MAX = 40
"""The number of symbolic links that Linux follows."""


def ownership_problem(path: Path) -> str | None:
    """
    Why the file at `path` must not be used, and what to do; None when it is safe.

    Checks the file if it exists, its folder, and symbolic links on the way. A sticky folder such as /tmp is
    accepted, because nobody can replace the files of others there. `OSError` when something can't be checked.
    """
    for place in _places(path):
        problem = _problem(place)
        if problem is not None:
            return problem
    return None


def _places(path: Path) -> list[Path]:
    """The paths to check: the name as given, the targets of its links one after the other, and the folder of each."""
    real = Path(os.path.realpath(path))
    names = [Path(os.path.abspath(path))]  # noqa: PTH100 - does not resolve links
    while names[-1].is_symlink() and len(names) < _LINKS_MAX:
        names.append(Path(os.path.abspath(names[-1].parent / names[-1].readlink())))  # noqa: PTH100
    return [place for name in dict.fromkeys((*names, real)) for place in (name.parent, name)]


def _problem(place: Path) -> str | None:
    try:
        found = place.lstat()
    except FileNotFoundError:
        return None
    kind = "folder" if stat.S_ISDIR(found.st_mode) else "link" if stat.S_ISLNK(found.st_mode) else "file"
    if found.st_uid not in (os.geteuid(), _ROOT):
        owner, us = _user(found.st_uid), _user(os.geteuid())
        return (
            f"the {kind} {place} belongs to {owner}, and this process runs as {us}: run it as {owner},"
            f" or take the {kind} over (`chown -h {us} {place}`) once you know what is in it"
        )
    if kind != "link" and _others_may_write(found) and not _is_kept(place, found):
        return (
            f"others may write the {kind} {place}; remove their permission (`chmod go-w {place}`)"
            " once you know what is in it"
        )
    return None


def _others_may_write(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_own_group(found.st_uid, found.st_gid)


def _is_own_group(owner: int, group: int) -> bool:
    """Whether the owner is the group's only member, as on systems that make a group for each user."""
    try:
        user, members = pwd.getpwuid(owner), grp.getgrgid(group)
    except KeyError:
        return False
    return user.pw_gid == group and user.pw_name == members.gr_name and set(members.gr_mem) <= {user.pw_name}


def _is_kept(place: Path, found: os.stat_result) -> bool:
    """Whether the mode is harmless: a sticky folder, or a read-only file system."""
    is_sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    return bool(is_sticky or os.statvfs(place).f_flag & os.ST_RDONLY)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
