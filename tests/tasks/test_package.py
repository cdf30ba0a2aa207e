"""Text inside archives, and the sentiment tasks made of it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tasks import Task
from tasks.cardfile import load_card
from tasks.errors import DataError
from tasks.load import LIBRARY, load_task
from tasks.normalise import bucket, example_key
from tasks.sources.package import member, table

SENTIMENT = ["movie-sentiment", "product-sentiment", "editorial-sentiment", "tweet-sentiment"]


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    return buffer.getvalue()


def test_members_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "outer.tar.gz"
    path.write_bytes(archive({"in/inner.tar.gz": archive({"a.txt": b"hello"}), "../escape.txt": b"x"}))
    assert member(path, ["in/inner.tar.gz", "a.txt"]) == b"hello"
    assert list(tmp_path.iterdir()) == [path]  # nothing is unpacked
    with pytest.raises(DataError, match=r"outer\.tar\.gz has no member in/none"):
        member(path, ["in/none"])
    with pytest.raises(DataError, match="must be a plain file"):
        member(path, ["link.txt"])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="cannot be read"):
        member(path, ["in/inner.tar.gz"])


def test_lines_end_at_line_feeds_only() -> None:
    text = '1\t0.5\the said "no\x85\u2028and left\r\n2\t-1\ta &amp;amp; b\r\n\r\n'
    rows = table(text, ["id", "rating", "text"], "f.txt", unescape_html=True)
    assert [row["text"] for row in rows] == ['he said "no\x85\u2028and left', "a & b"]
    with pytest.raises(DataError, match=r"f\.txt:2: must have 3 columns, but has 2"):
        table("1\t2\t3\n1\t2\n", ["id", "rating", "text"], "f.txt", unescape_html=False)


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    return {name: load_task(name) for name in SENTIMENT}


@pytest.mark.model
@pytest.mark.parametrize("name", SENTIMENT)
def test_sentiment_tasks(tasks: dict[str, Task], name: str) -> None:
    task = tasks[name]
    assert task.labels == (("negative", "neutral", "positive") if name == "tweet-sentiment" else ("negative", "positive"))
    keys = {role: {example_key(e, task.kind) for e in split} for role, split in task.splits.items()}
    assert all(len(keys[role]) == len(split) for role, split in task.splits.items())
    for role, (low, high) in {"demonstration": (0, 60), "validation": (60, 75), "test": (75, 100)}.items():
        assert all(low <= bucket(key) < high for key in keys[role])
    for split in task.splits.values():
        assert set(split.targets) == set(task.labels)
    texts = [e.inputs["text"] for split in task.splits.values() for e in split]
    assert not any("&amp;" in text or "\ufffd" in text or "\r" in text for text in texts)
    assert len(task.splits["test"]) >= 300


@pytest.mark.model
def test_sentiment_labels_read_right(tasks: dict[str, Task]) -> None:
    rows = {e.inputs["text"]: e.target for split in tasks["movie-sentiment"].splits.values() for e in split}
    assert rows["A masterpiece four years in the making."] == "positive"
    assert len(rows) == 9171
    tweets = {e.inputs["text"]: e.target for split in tasks["tweet-sentiment"].splits.values() for e in split}
    assert tweets["Two words that should die this year: Sexting and jeggings. Die die die"] == "negative"


@pytest.mark.model
def test_a_text_has_one_role_in_all_tasks(tasks: dict[str, Task]) -> None:
    role: dict[str, str] = {}
    for task in tasks.values():
        for name, split in task.splits.items():
            for e in split:
                assert role.setdefault(example_key(e, task.kind), name) == name


def test_cards_of_one_archive_agree() -> None:
    sources = [load_card(LIBRARY / f"{name}.yaml").source.model_dump(exclude={"members"}) for name in SENTIMENT]
    assert all(source == sources[0] for source in sources)
