"""The table of jobs: kept at any byte, one row per job, one writer."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
from job_functions import counted, square

from lsm.errors import InputError, ModelMismatch, RecordError, WrongFormat
from lsm.experiments.jobs import Job, JobTable, Row, Serial, attempt, read_rows


def row(x: int) -> Row:
    return attempt(Job(f"x={x}", square, {"x": x}).call())


def filled(path: Path, count: int) -> bytes:
    with JobTable(path) as table:
        for x in range(count):
            assert table.add(row(x))
    return path.read_bytes()


def test_a_table_cut_at_any_byte_goes_on_from_its_whole_rows(tmp_path: Path):
    path = tmp_path / "table.jsonl"
    whole = filled(path, 2)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        # the head is the first line
        complete = max(whole[:cut].count(b"\n") - 1, 0)
        with JobTable(path) as table:
            assert list(table.rows) == [f"x={x}" for x in range(complete)]
            for x in range(complete, 2):
                assert table.add(row(x))
        assert {key: found.result for key, found in read_rows(path).items()} == {
            f"x={x}": {"square": x**2} for x in range(2)
        }


def test_a_row_of_which_only_the_end_reached_the_disk_is_cut_off(tmp_path: Path):
    path = tmp_path / "table.jsonl"
    whole = filled(path, 3)
    begin = whole.rindex(b'{"key"')
    path.write_bytes(whole[:begin] + bytes(len(whole) - begin - 9) + whole[-9:])
    with JobTable(path) as table:
        assert list(table.rows) == ["x=0", "x=1"]
        table.add(row(2))
    assert list(read_rows(path)) == ["x=0", "x=1", "x=2"]


def test_a_damaged_row_inside_the_table_is_an_error_that_names_the_line(tmp_path: Path):
    path = tmp_path / "table.jsonl"
    damaged = filled(path, 3).replace(b'"key": "x=0"', b'"kez": "x=0"')
    path.write_bytes(damaged)
    with pytest.raises(WrongFormat, match="line 2"):
        JobTable(path)
    assert path.read_bytes() == damaged


def test_a_file_that_is_no_table_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("dear diary")
    with pytest.raises(WrongFormat, match="not a job table"):
        JobTable(path)
    assert path.read_text() == "dear diary"


def test_a_result_counts_once(tmp_path: Path):
    with JobTable(tmp_path / "table.jsonl") as table:
        assert table.add(row(1))
        size = table.path.stat().st_size
        assert not table.add(row(1))
        assert table.path.stat().st_size == size


def test_a_result_takes_the_place_of_an_error_and_no_error_that_of_a_result(tmp_path: Path):
    path = tmp_path / "table.jsonl"
    good = row(1)
    failed = good.model_copy(update={"result": None, "error": "it was dark"})
    with JobTable(path) as table:
        assert table.add(failed)
        assert table.add(good)
        assert not table.add(failed)
    assert read_rows(path) == {"x=1": good}


def test_the_same_key_with_other_arguments_is_refused(tmp_path: Path):
    with JobTable(tmp_path / "table.jsonl") as table:
        Serial().run([Job("a", square, {"x": 1})], table)
        with pytest.raises(ModelMismatch, match="'a' has another function or other arguments"):
            Serial().run([Job("a", square, {"x": 2})], table)
        with pytest.raises(ModelMismatch):
            Serial().run([Job("a", counted, {"x": 1})], table)
        assert Serial().run([Job("a", square, {"x": 1})], table)[0].result == {"square": 1}


def test_a_table_is_good_in_another_folder(tmp_path: Path):
    def job(x: int, folder: str, places: tuple[str, ...] = ("folder",)) -> Job:
        return Job("a", counted, {"x": x, "folder": str(tmp_path / folder)}, places)

    (tmp_path / "one").mkdir()
    with JobTable(tmp_path / "table.jsonl") as table:
        Serial().run([job(1, "one")], table)
        # nothing runs: "two" is not there
        assert Serial().run([job(1, "two")], table)[0].result == {"square": 1}
        with pytest.raises(ModelMismatch):
            Serial().run([job(2, "two")], table)
    with pytest.raises(InputError, match="no argument 'out'"):
        job(1, "one", ("out",))


def test_two_writers_at_once_are_refused(tmp_path: Path):
    path = tmp_path / "table.jsonl"
    code = f"from pathlib import Path; from lsm.experiments.jobs import JobTable; JobTable(Path({str(path)!r}))"
    with JobTable(path):
        with pytest.raises(RecordError, match="being written by another program"):
            JobTable(path)
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "being written by another program" in other.stderr
        assert read_rows(path) == {}
    JobTable(path).close()


def write_until_killed(path: Path) -> None:
    with JobTable(path) as table:
        for x in range(10**6):
            table.add(row(x))


def test_what_a_killed_program_was_told_is_done_is_in_its_table(tmp_path: Path):
    path = tmp_path / "table.jsonl"
    writer = multiprocessing.get_context("spawn").Process(target=write_until_killed, args=(path,))
    writer.start()
    while not path.exists() or path.read_bytes().count(b"\n") < 20:
        assert writer.is_alive()
    writer.kill()
    writer.join()
    with JobTable(path) as table:
        count = len(table.rows)
        assert count >= 19
        assert {found.key: found.result for found in table.rows.values()} == {
            f"x={x}": {"square": x**2} for x in range(count)
        }


def test_a_full_disk_is_a_sentence_and_loses_no_row(tmp_path: Path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "table.jsonl"
    size = len(filled(path, 2))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with JobTable(path) as table:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
        try:
            with pytest.raises(RecordError, match="cannot be written"):
                table.add(row(2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list(read_rows(path)) == ["x=0", "x=1"]
        assert table.add(row(2))
    assert list(read_rows(path)) == ["x=0", "x=1", "x=2"]


@pytest.mark.parametrize(
    ("key", "function", "arguments", "said"),
    [
        ("", square, {}, "empty key"),
        ("a", lambda arguments: arguments, {}, "not one of a module"),
        ("a", square, {"path": Path()}, "not plain JSON"),
        ("a", square, {"x": float("inf")}, "not plain JSON"),
    ],
)
def test_a_job_that_cannot_travel_is_refused(key: str, function: object, arguments: dict[str, object], said: str):
    with pytest.raises(InputError, match=said):
        Job(key, function, arguments)
