"""Items of a batch, as people have them."""

from pathlib import Path

import pytest
import typer

from processing_service.cli.item_sources import ItemSources, of_files


def read(**sources):
    texts = sources.pop("texts", ())
    return list(ItemSources(**sources).items(texts))


@pytest.fixture
def written(tmp_path):
    def written(text, name="items"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return written


def test_words():
    """An item is its name and KEY=VALUE as on a command line; without a name it is numbered."""
    found = read(words=["a text='good bye' count=3", "page=@pages/a.png", "lonely"])

    assert found == [
        ("a", {"text": "good bye", "count": 3}),
        ("item-2", {"page": Path("pages/a.png")}),
        ("lonely", {}),
    ]


def test_a_table(written):
    """Columns are parameters, by path where they have one; an empty cell is left out, a blank line, too."""
    table = written("item_id,text,decode.max_pixels,page\na,hello,5,a.png\n\nb,,,b.png\n")

    assert read(tables=[table], file_parameters=["page"]) == [
        ("a", {"text": "hello", "decode": {"max_pixels": 5}, "page": Path("a.png")}),
        ("b", {"page": Path("b.png")}),
    ]


def test_rows_without_a_name_are_named_after_their_line(written):
    """So that whoever reads of a failure finds the row."""
    table = written('text\nhello\n"good\nbye"\nlast\n')

    assert [item_id for item_id, _ in read(tables=[table])] == ["line-2", "line-4", "line-5"]


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
def test_delimiters(written, delimiter):
    """Tab, semicolon or comma, as the header has it; a byte order mark is no part of a name."""
    table = written(f"\ufeffitem_id{delimiter}text\na{delimiter}b\n")

    assert read(tables=[table]) == [("a", {"text": "b"})]


def test_text_stays_text(written):
    """What a workflow declares as text is not taken for a number, a truth value or nothing."""
    table = written("zip,flag,count\n007,null,7\n12,true,8\n")

    assert [values for _, values in read(tables=[table], texts={"zip", "flag"})] == [
        {"zip": "007", "flag": "null", "count": 7},
        {"zip": "12", "flag": "true", "count": 8},
    ]


def test_a_cell_is_no_name_of_a_file_unless_asked(written):
    """Data of others must not make us read files: `@` means one on the command line only."""
    assert read(tables=[written("text\n@/etc/passwd\n")]) == [("line-2", {"text": "@/etc/passwd"})]
    assert read(tables=[written('{"text": "@/etc/passwd"}\n')]) == [("line-1", {"text": "@/etc/passwd"})]


def test_json_lines(written):
    """An object a line; item_id names it, all else are parameters as they stand."""
    table = written('{"item_id": "a", "text": "007", "sizes": [1, 2]}\n\n{"page": "b.png", "text": null}\n')

    assert read(tables=[table], file_parameters=["page"]) == [
        ("a", {"text": "007", "sizes": [1, 2]}),
        ("line-3", {"page": Path("b.png"), "text": None}),
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param("[1]", "line 1: is a JSON array", id="array"),
        pytest.param('{"a": 1}\n[2]\n', "line 2: is no JSON object", id="no object"),
        pytest.param('{"a": 1}\n{"a": }\n', "line 2: is no JSON: ", id="no JSON"),
        pytest.param('{"a": NaN}\n', "line 1: is no JSON: NaN", id="no number"),
        pytest.param("", "line 1: is empty", id="empty"),
        pytest.param("a,a\n1,2\n", "line 1: names column 'a' twice", id="column twice"),
        pytest.param("a,,b\n1,2,3\n", "line 1: has a column without a name", id="nameless column"),
        pytest.param("a\n1\n2,3\n", "line 3: has 2 cells, the header 1", id="too many cells"),
        pytest.param('a\n"open\n', "line 2: unexpected end of data", id="open quote"),
        pytest.param(b"a\n\xff\n", "is no text in UTF-8", id="no text"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(written, content, fault):
    """Nobody searches a million lines."""
    with pytest.raises(typer.BadParameter, match=fault.replace("(", r"\(")):
        read(tables=[written(content)])


def test_a_file_that_is_not_there(tmp_path):
    """It is named."""
    with pytest.raises(typer.BadParameter, match=r"none\.csv cannot be read: No such file"):
        read(tables=[str(tmp_path / "none.csv")])


def test_rows_are_read_as_they_are_taken(written):
    """A fault in the last row does not keep the first from being there: nothing holds them all."""
    items = ItemSources(tables=[written("a\n1\n2,3\n")]).items()

    assert next(items) == ("line-2", {"a": 1})


def test_files_of_patterns_and_folders(tmp_path):
    """Patterns, folders and paths together; a file that two of them find is one item, hidden ones are none."""
    for name in ("a.png", "b.png", "c.txt", ".hidden", "deep/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    found = of_files([f"{tmp_path}/*.png", str(tmp_path), f"{tmp_path}/**/d.png"], "page")

    assert list(found) == [
        ("a", {"page": tmp_path / "a.png"}),
        ("b", {"page": tmp_path / "b.png"}),
        ("c", {"page": tmp_path / "c.txt"}),
        ("d", {"page": tmp_path / "deep" / "d.png"}),
    ]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        pytest.param(["a.png", "b.png"], ["a", "b"], id="stems"),
        pytest.param(["a.png", "a.jpg"], ["a.png", "a.jpg"], id="names"),
        pytest.param(["x/a.png", "y/a.png"], ["x-a.png", "y-a.png"], id="paths"),
        pytest.param(["Straße 1.png", "-.png"], ["Stra-e-1", "file"], id="characters"),
    ],
)
def test_files_are_named_by_as_much_as_tells_them_apart(tmp_path, monkeypatch, files, names):
    """As ids, in which not every character may be."""
    monkeypatch.chdir(tmp_path)
    for name in files:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()

    assert [item_id for item_id, _ in of_files(files, "page")] == names


@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        pytest.param({"files": ["*"]}, "--as PARAMETER", id="files without a parameter"),
        pytest.param({"files": ["*"], "file_parameters": ["a", "b"]}, "--as PARAMETER", id="two parameters"),
        pytest.param({"words": ["a"], "file_parameters": ["a"]}, "give one of them", id="nothing to be read"),
        pytest.param({"words": ["a text='open"]}, "No closing quotation", id="open quote"),
        pytest.param({"words": ["a text"]}, "'text' is not key=value", id="no value"),
        pytest.param({"files": ["/nowhere/*"], "file_parameters": ["a"]}, "matches no file", id="no file"),
    ],
)
def test_options_that_make_no_sense(sources, fault):
    """Are refused before anything is sent."""
    with pytest.raises(typer.BadParameter, match=fault):
        read(**sources)


def test_a_column_that_is_not_there(written):
    """--as has to name one of a table."""
    with pytest.raises(typer.BadParameter, match="line 1: has no column 'page', which --as names"):
        read(tables=[written("text\na\n")], file_parameters=["page"])
