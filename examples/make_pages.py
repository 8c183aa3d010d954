"""Makes page images with known text: rendered ones, and photographs by perspective, blur and uneven light.

    python examples/make_pages.py --seed 7 --count 12 --output examples/pages

Each page is an image and a JSON of the same name: {"kind": "rendered" | "photo", "lines": [{"text", "corners"}]}, with
corners clockwise from the top left, in pixels. The same seed gives the same pages. The fonts come from the packages of
`fonts.lock`; they are installed beside each other into a folder of their own when it is missing.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

HERE = Path(__file__).parent
FONTS = HERE.parent / ".cache" / "fonts"

SERIF = (
    "crimson_text/files/CrimsonText-Regular",
    "eb_garamond/files/EBGaramond[wght]",
    "pt_serif/files/PT_Serif-Web-Regular",
)
BOOK = ("libre_baskerville/files/LibreBaskerville[wght]", "roboto_slab/files/RobotoSlab[wght]")
SANS = ("arimo/files/Arimo[wght]", "open_sans/files/OpenSans[wdth,wght]", "roboto/files/Roboto[wdth,wght]")
PLAIN = ("source_sans_3/files/SourceSans3[wght]", *SANS)
MONO = ("fira_code/files/FiraCode[wght]",)

NAMES = ("Élise Moreau", "Jörg Weiß", "Ada Quinn", "Zoë Hübner", "René Lefèvre", "Miriam Voß", "Tom O'Hara", "Käthe Öz")
PLACES = ("Zürich", "Lübeck", "Besançon", "Göteborg", "Orléans", "Kilkenny", "Würzburg", "Hastings")
GOODS = ("Käsebrötchen", "Café crème", "Apple juice", "Weißbier 0,5 l", "Tarte aux pêches", "Müsli", "Soup of the day")
GOODS_MORE = ("Thé glacé", "Grüner Salat", "Bœuf bourguignon", "Mineral water", "Pommes frites", "Crème brûlée")

OVERSAMPLING = 4
"""Letters are drawn this much larger and then made smaller: even spacing and soft edges, as a scanner gives."""


@dataclass
class Page:
    """An image, red, green, blue, and the lines on it."""

    image: Array
    kind: str = "rendered"
    lines: list[tuple[str, Array]] = field(default_factory=list)

    def warp(
        self, matrix: Array, size: tuple[int, int], border: int | tuple[int, ...], image: Array | None = None
    ) -> None:
        """Moves the image and the corners of its lines by a 3 x 3 matrix."""
        self.image = cv2.warpPerspective(
            self.image,
            matrix,
            size,
            flags=cv2.INTER_CUBIC,
            borderValue=(border,) * 3 if isinstance(border, int) else border,
        )
        self.lines = [(text, cv2.perspectiveTransform(corners[np.newaxis], matrix)[0]) for text, corners in self.lines]


class Pen:
    """Writes lines of one font and size on a page.

    Args:
        page: what to write on.
        font: path of the font under the folder of fonts, without `fontpkg_` and `.ttf`.
        size: height of an em, in pixels.
        weight: 400 is regular, 700 bold; only where the font has such an axis.
        ink: brightness of the letters, 0 to 255.
    """

    def __init__(self, page: Page, font: str, size: float, weight: int = 400, ink: int = 25) -> None:
        self.page, self.size, self.weight, self.ink = page, size, weight, ink
        self.face = cv2.FontFace(str(FONTS / f"fontpkg_{font}.ttf"))
        self.large = round(size * OVERSAMPLING)

    def width(self, text: str) -> float:
        """Width of a text, in pixels."""
        return cv2.getTextSize((0, 0), text, (0, 0), self.face, self.large, self.weight)[2] / OVERSAMPLING

    def write(self, text: str, left: float, baseline: float) -> None:
        """Writes a line and keeps it as known text."""
        up, down, pad = math.ceil(1.1 * self.size), math.ceil(0.4 * self.size), 4
        width = math.ceil(self.width(text)) + 2 * pad
        strip = np.full(((up + down) * OVERSAMPLING, width * OVERSAMPLING, 3), 255, np.uint8)
        at = (pad * OVERSAMPLING, up * OVERSAMPLING)
        cv2.putText(strip, text, at, (self.ink,) * 3, self.face, self.large, self.weight)
        small = cv2.resize(strip, (width, up + down), interpolation=cv2.INTER_AREA)
        x, y = round(left) - pad, round(baseline) - up
        place = self.page.image[y : y + up + down, x : x + width]
        np.minimum(place, small[: place.shape[0], : place.shape[1]], out=place)
        box = (left, baseline - 0.8 * self.size, left + self.width(text), baseline + 0.25 * self.size)
        self.page.lines.append((text, corners_of(*box)))

    def write_right(self, text: str, right: float, baseline: float) -> None:
        """Writes a line that ends at `right`."""
        self.write(text, right - self.width(text), baseline)

    def wrap(self, text: str, width: float) -> Iterator[str]:
        """The lines of a paragraph; French marks stay with the word before them."""
        line = ""
        for word in re.split(r" (?![?!;:])", text):
            if line and self.width(f"{line} {word}") > width:
                yield line
                line = word
            else:
                line = f"{line} {word}".strip()
        yield line


def corners_of(left: float, top: float, right: float, bottom: float) -> Array:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


class Author:
    """Thinks of texts.

    Args:
        rng: source of chance.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.sentences = read_sentences()
        self.unused: dict[str, list[str]] = {}

    def pick(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def amount(self) -> str:
        return f"{self.rng.integers(1, 400)},{self.rng.integers(100):02d} €"

    def date(self) -> str:
        return f"{self.rng.integers(1, 29)}.{self.rng.integers(1, 13)}.{self.rng.integers(1998, 2027)}"

    def sentence(self, language: str) -> str:
        slots: dict[str, Callable[[], Any]] = {
            "number": lambda: self.rng.integers(3, 980),
            "amount": self.amount,
            "date": self.date,
            "name": lambda: self.pick(NAMES),
            "place": lambda: self.pick(PLACES),
        }
        if not self.unused.get(language):
            self.unused[language] = [str(sentence) for sentence in self.rng.permutation(self.sentences[language])]
        return re.sub(r"\{(\w+)\}", lambda slot: str(slots[slot[1]]()), self.unused[language].pop())

    def paragraph(self, language: str) -> str:
        return " ".join(self.sentence(language) for _ in range(self.rng.integers(3, 6)))

    def language(self) -> str:
        return str(self.pick(("english", "german", "french")))


def read_sentences() -> dict[str, list[str]]:
    sentences: dict[str, list[str]] = {}
    for line in (HERE / "sentences.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            language = line.strip("[]")
            sentences[language] = []
        elif line and not line.startswith("#"):
            sentences[language].append(line)
    return sentences


def blank(width: int, height: int, rng: np.random.Generator) -> Page:
    return Page(np.full((height, width, 3), int(rng.integers(244, 256)), np.uint8))


def fill(pen: Pen, author: Author, language: str, box: tuple[float, float, float, float], leading: float) -> None:
    """Fills a column, given as left, top, right, bottom, with paragraphs."""
    left, baseline, right, bottom = box
    while True:
        for line in pen.wrap(author.paragraph(language), right - left):
            if baseline > bottom:
                return
            pen.write(line, left, baseline)
            baseline += leading
        baseline += 0.6 * leading


def letter(rng: np.random.Generator, fonts: tuple[str, ...] = SERIF + SANS + BOOK) -> Page:
    """A letter: sender, date, heading, paragraphs."""
    author, dpi = Author(rng), float(rng.choice([100, 120, 150]))
    page = blank(round(8.27 * dpi), round(11.69 * dpi), rng)
    size = float(rng.uniform(10, 12.5)) * dpi / 72
    font, margin, ink = author.pick(fonts), 1.0 * dpi, int(rng.integers(10, 70))
    pen = Pen(page, font, size, ink=ink)
    for row, text in enumerate((author.pick(NAMES), f"{author.pick(PLACES)}, {author.date()}")):
        pen.write_right(text, page.image.shape[1] - margin, margin + row * 1.4 * size)
    Pen(page, font, 1.5 * size, 700, ink).write(
        f"No. {rng.integers(1000, 9999)}/{author.pick(PLACES)}", margin, margin + 4 * size
    )
    box = (margin, margin + 7 * size, page.image.shape[1] - margin, page.image.shape[0] - 2.2 * margin)
    fill(pen, author, author.language(), box, float(rng.uniform(1.35, 1.6)) * size)
    return page


def columns(rng: np.random.Generator) -> Page:
    """Two columns under a heading, each in a language of its own."""
    author, dpi = Author(rng), float(rng.choice([120, 150]))
    page = blank(round(8.27 * dpi), round(11.69 * dpi), rng)
    width, size, margin = page.image.shape[1], float(rng.uniform(9, 10.5)) * dpi / 72, 0.8 * dpi
    font, middle = author.pick(SERIF + PLAIN), page.image.shape[1] / 2
    Pen(page, font, 2.2 * size, 700).write(f"{author.pick(PLACES)} - {author.pick(PLACES)}", margin, margin + size)
    bottom = page.image.shape[0] - 2.5 * margin
    for left, right in ((margin, middle - 0.2 * dpi), (middle + 0.2 * dpi, width - margin)):
        box = (left, margin + 4 * size, right, bottom)
        fill(Pen(page, font, size), author, author.language(), box, 1.4 * size)
    return page


def noisy(rng: np.random.Generator) -> Page:
    """A page from a bad copier: grain, specks, strong compression."""
    page = letter(rng, SANS + BOOK)
    height, width = page.image.shape[:2]
    grain = rng.normal(0, rng.uniform(8, 16), (height, width, 1))
    page.image = np.clip(page.image + grain, 0, 255).astype(np.uint8)
    for x, y in rng.integers(0, (width, height), (60, 2)).tolist():
        cv2.circle(page.image, (x, y), 1, (110, 110, 110), -1)
    _, encoded = cv2.imencode(".jpg", page.image, [cv2.IMWRITE_JPEG_QUALITY, 45])
    page.image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return page


def skewed(rng: np.random.Generator) -> Page:
    """A page that lay askew on the scanner, 1 to 4 degrees."""
    page = letter(rng)
    height, width = page.image.shape[:2]
    angle = float(rng.uniform(1, 4) * rng.choice([-1, 1]))
    matrix = np.vstack((cv2.getRotationMatrix2D((width / 2, height / 2), angle, 0.96), (0, 0, 1)))
    page.warp(matrix, (width, height), int(page.image[0, 0, 0]))
    return page


def receipt(rng: np.random.Generator) -> Page:
    """A till receipt: goods to the left, amounts to the right."""
    author = Author(rng)
    page = blank(620, 1100, rng)
    pen, bold = Pen(page, MONO[0], 24, ink=50), Pen(page, MONO[0], 32, 700, ink=30)
    bold.write(f"Café {author.pick(PLACES)}", 60, 90)
    pen.write(f"Rue de l'Église {rng.integers(1, 99)}", 60, 140)
    pen.write(f"Tel. 0{rng.integers(100, 999)} {rng.integers(10**5, 10**6)}", 60, 180)
    baseline, total = 260, 0
    for name in rng.permutation(GOODS + GOODS_MORE)[:10]:
        price = int(rng.integers(120, 2400))
        total += price
        pen.write(str(name), 60, baseline)
        pen.write_right(f"{price // 100},{price % 100:02d}", 560, baseline)
        baseline += 46
    cv2.line(page.image, (60, baseline - 20), (560, baseline - 20), (60, 60, 60), 2)
    bold.write("Total", 60, baseline + 30)
    bold.write_right(f"{total // 100},{total % 100:02d} €", 560, baseline + 30)
    pen.write(f"{author.date()} {rng.integers(8, 22)}:{rng.integers(10, 59)}", 60, baseline + 100)
    pen.write("Vielen Dank & à bientôt!", 60, baseline + 150)
    return page


def form(rng: np.random.Generator) -> Page:
    """A form with rules and boxes."""
    author = Author(rng)
    page = blank(1000, 1300, rng)
    font = author.pick(PLAIN)
    label, value, title = Pen(page, font, 20, ink=80), Pen(page, font, 26), Pen(page, font, 40, 700)
    title.write(f"Antrag / Application {rng.integers(100, 999)}-B", 70, 110)
    rows = (
        ("Name", author.pick(NAMES)),
        ("Place of birth", author.pick(PLACES)),
        ("Date of birth", author.date()),
        ("Straße", f"Mühlgäßchen {rng.integers(1, 200)}"),
        ("Numéro", f"FR-{rng.integers(10**6, 10**7)}"),
        ("Amount", author.amount()),
    )
    for row, (name, text) in enumerate(rows):
        top = 170 + row * 110
        cv2.rectangle(page.image, (70, top), (930, top + 90), (120, 120, 120), 2)
        label.write(name, 85, top + 28)
        value.write(str(text), 85, top + 70)
    cv2.rectangle(page.image, (70, 870), (100, 900), (90, 90, 90), 2)
    value.write("I have read the terms and accept them.", 120, 896)
    fill(label, author, author.language(), (70, 970, 930, 1150), 32)
    cv2.line(page.image, (70, 1230), (430, 1230), (60, 60, 60), 2)
    label.write("Unterschrift / signature", 70, 1262)
    return page


def photo(rng: np.random.Generator) -> Page:
    """A sheet on a table, photographed by hand: perspective, blur, a shadow, grain."""
    author, scale = Author(rng), 2
    sheet = blank(620 * scale, 700 * scale, rng)
    font, size = author.pick(SERIF + PLAIN + BOOK), float(rng.uniform(19, 24)) * scale
    Pen(sheet, font, 1.6 * size, 700).write(f"{author.pick(PLACES)} {rng.integers(10, 99)}", 50 * scale, 80 * scale)
    box = (50 * scale, 140 * scale, 570 * scale, 650 * scale)
    fill(Pen(sheet, font, size), author, author.language(), box, 1.55 * size)
    return photograph(sheet, (900, 760), rng)


def turned(rng: np.random.Generator) -> Page:
    """A photograph that stands on its head."""
    page = photo(rng)
    height, width = page.image.shape[:2]
    page.image = np.ascontiguousarray(page.image[::-1, ::-1])
    page.lines = [(text, np.array((width, height), np.float32) - corners) for text, corners in page.lines]
    return page


def photograph(sheet: Page, size: tuple[int, int], rng: np.random.Generator) -> Page:
    width, height = size
    rows, cols = sheet.image.shape[:2]
    corners = corners_of(0.1 * width, 0.04 * height, 0.9 * width, 0.96 * height)
    moved = corners + rng.uniform(-0.035, 0.035, (4, 2)).astype(np.float32) * (width, height)
    matrix = cv2.getPerspectiveTransform(corners_of(0, 0, cols, rows), moved.astype(np.float32))
    covered = cv2.warpPerspective(np.ones((rows, cols), np.float32), matrix, size, flags=cv2.INTER_AREA)
    sheet.image = cv2.GaussianBlur(sheet.image, (0, 0), 0.7)  # or the small picture would alias
    sheet.warp(matrix, size, 255)
    paper = covered[:, :, np.newaxis]
    image = sheet.image * paper + table(size, rng) * (1 - paper)
    image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 0.9))) * light(size, rng)
    image += rng.normal(0, 3, image.shape)
    return Page(np.clip(image, 0, 255).astype(np.uint8), "photo", sheet.lines)


def table(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """A wooden table: long, dim stripes."""
    stripes = cv2.GaussianBlur(rng.normal(0, 1, (size[1], size[0])), (0, 0), sigmaX=90, sigmaY=1.2)
    wood = np.array((118, 84, 58), np.float32) + stripes[:, :, np.newaxis] / stripes.std() * 9
    return np.asarray(wood, np.float32)


def light(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Brightness by pixel: falls off to one side, with the soft shadow of a hand across a corner."""
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    angle = rng.uniform(0, 2 * math.pi)
    falloff = 0.82 + 0.15 * (x * math.cos(angle) + y * math.sin(angle))
    centre = rng.choice([-1, 1], 2) * rng.uniform(0.6, 1.0, 2)
    shadow = 1 - 0.35 * np.exp(-(((x - centre[0]) / 0.7) ** 2 + ((y - centre[1]) / 0.5) ** 2))
    warmth = np.array((1.0, 0.97, 0.9))
    return np.asarray((falloff * shadow)[:, :, np.newaxis] * warmth, np.float32)


KINDS: tuple[Callable[[np.random.Generator], Page], ...] = (
    letter, columns, noisy, photo, skewed, receipt, photo, form, letter, photo, columns, turned,
)  # fmt: skip


def make_page(seed: int, index: int) -> tuple[str, Page]:
    """The page of that number, from 0, and its name."""
    kind = KINDS[index % len(KINDS)]
    return f"{index + 1:02d}-{kind.__name__}", kind(np.random.default_rng((seed, index)))


def save(name: str, page: Page, folder: Path) -> None:
    """Writes `<name>.png`, or `.jpg` where grain would make a PNG large, and `<name>.json`."""
    suffix = ".jpg" if page.kind == "photo" or name.endswith("noisy") else ".png"
    image = cv2.cvtColor(page.image, cv2.COLOR_RGB2BGR)
    if suffix == ".png":
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    options = [cv2.IMWRITE_JPEG_QUALITY, 82] if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    (folder / f"{name}{suffix}").write_bytes(cv2.imencode(suffix, image, options)[1].tobytes())
    lines = [{"text": text, "corners": np.round(corners, 1).tolist()} for text, corners in page.lines]
    truth = json.dumps({"kind": page.kind, "lines": lines}, ensure_ascii=False, indent=1)
    (folder / f"{name}.json").write_text(truth + "\n", "utf-8")


def make_pages(seed: int, count: int, folder: Path) -> None:
    """Makes that many pages in a folder; the fonts are installed first if they are not."""
    install_fonts()
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        save(*make_page(seed, index), folder)


def install_fonts() -> None:
    """Installs the packages of `fonts.lock` into their folder, unless they are there."""
    if not FONTS.is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "--target", str(FONTS), "-r", str(HERE / "fonts.lock")], check=True)  # noqa: S603 - ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7, help="another seed gives other pages")
    parser.add_argument("--count", type=int, default=len(KINDS), help="how many pages")
    parser.add_argument("--output", type=Path, default=HERE / "pages", help="folder to write to")
    options = parser.parse_args()
    make_pages(options.seed, options.count, options.output)


if __name__ == "__main__":
    main()
