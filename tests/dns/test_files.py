import os

from kongtx.dns.files import WatchedFile


def test_text_is_delivered_first_and_after_each_change(tmp_path):
    path, texts = tmp_path / "f", []
    path.write_text("one")
    file = WatchedFile(str(path), texts.append)

    read = [file.check(), file.check()]
    path.write_text("two!")
    read += [file.check(), file.check()]

    assert texts == ["one", "two!"]
    assert read == [True, False, True, False]


def test_a_file_that_is_replaced_with_the_same_size_is_seen(tmp_path):
    path, texts = tmp_path / "f", []
    path.write_text("one")
    file = WatchedFile(str(path), texts.append)
    file.check()
    (tmp_path / "g").write_text("two")
    os.replace(tmp_path / "g", path)

    file.check()

    assert texts == ["one", "two"]


def test_a_missing_file_is_empty_text_until_it_appears(tmp_path):
    path, texts = tmp_path / "f", []
    file = WatchedFile(str(path), texts.append)
    read = [file.check(), file.check()]
    path.write_text("now")
    read.append(file.check())

    assert texts == ["", "now"]
    assert read == [True, False, True]
