"""The page in a browser: Debian's Chromium, headless, driven by Playwright.

Screenshots are kept in `test-output/app`.
"""

import base64
import io
import pathlib
import shutil
import socket

import nibabel
import numpy as np
import pytest
from PIL import Image

from dca_keras._drawing import CLASS_COLOURS
from dca_keras.app import running_page
from dca_keras.data import read_image
from dca_keras.prediction import predict, predict_files, to_mask
from dca_keras.run import Run
from tests.volume_run import AFFINES, draw_structures, save_case

pytestmark = pytest.mark.slow
OUTPUT = pathlib.Path(__file__).parents[2] / "test-output" / "app"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 180_000  # Milliseconds; machines that run tests are busy.
PHONE = {"width": 390, "height": 844}
COLOURS = [tuple(bytes.fromhex(colour[1:])) for colour in CLASS_COLOURS]
PICTURE = "#picture-0 img"
READ_PIXELS = """async (image) => {
    await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/png').split(',')[1];
}"""
DECODE_ALL = """() => Promise.all(
    [...document.images].map(image => image.decode().catch(() => null)))"""
SMALL_PRINT = """() => [...document.querySelectorAll('body *')]
    .filter(e => e.checkVisibility() && [...e.childNodes].some(
        n => n.nodeType == 3 && n.textContent.trim()))
    .filter(e => parseFloat(getComputedStyle(e).fontSize) < 12)
    .map(e => e.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def reached():
    """Addresses beyond this computer that this process connects to."""
    reached, connect = [], socket.socket.connect

    def watched(self, address):
        if self.family != socket.AF_UNIX and address[0] not in (
            *("127.0.0.1", "localhost", "::1"),
        ):
            reached.append(address)
        return connect(self, address)

    socket.socket.connect = watched
    yield reached
    del socket.socket.connect


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(chromium, reached, with_dca, plain):
    pytest.importorskip("gradio")
    with running_page([with_dca, plain], max_megabytes=1) as address:
        yield address


@pytest.fixture
def open_page(chromium):
    """Open an address; at the end, see what the browser asked of whom."""
    requests, contexts = [], []

    def open_page(address, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        page.get_by_role("heading", name="Dual Cross-Attention").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    own = ("http://127.0.0.1:", "data:", "blob:http://127.0.0.1:")
    assert requests
    assert [url for url in requests if not url.startswith(own)] == []


def drop(page, *files):
    page.locator("#upload input[type=file]").set_input_files(files)


def drop_and_wait(page, file):
    drop(page, file)
    page.get_by_role("heading", name=file.name).wait_for()
    page.locator(PICTURE).wait_for()


def wait_for_change(page, act):
    """Act, and wait for another picture."""
    before = page.locator(PICTURE).get_attribute("src")
    act()
    page.wait_for_function(
        f"before => document.querySelector('{PICTURE}')?.src"
        ".replace(location.origin, '') !== "
        "before.replace(location.origin, '')",
        arg=before,
    )


def set_slider(page, label, key):
    slider = page.get_by_label(f"range slider for {label}")
    wait_for_change(page, lambda: slider.press(key))


def seen_pixels(page, sides):
    """The colours in the middle of an image's pixels, as the page has them."""
    data = page.locator(PICTURE).evaluate(READ_PIXELS)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    rows, columns = (
        ((np.arange(side) + 0.5) * large / side).astype(int)
        for side, large in zip(sides, picture.shape[:2], strict=True)
    )
    return picture[np.ix_(rows, columns)][..., :3]


def take_picture(page, name):
    OUTPUT.mkdir(parents=True, exist_ok=True)
    page.evaluate(DECODE_ALL)
    page.screenshot(path=OUTPUT / f"{name}.png", full_page=True)


def test_a_picture_is_dropped_and_its_mask_downloaded(
    open_page, address, image, with_dca, tmp_path
):
    page = open_page(address, viewport={"width": 1280, "height": 900})
    page.get_by_role("button", name="test-0").wait_for()
    take_picture(page, "start")
    drop_and_wait(page, image)
    take_picture(page, "mask")
    set_slider(page, "Opacity", "End")
    found = predict(Run(with_dca).load_model(), read_image(image))
    mask, seen = to_mask(found), seen_pixels(page, found.shape[:2])
    assert 0 < mask.mean() < 1
    np.testing.assert_array_equal((seen == COLOURS[0]).all(axis=-1), mask == 1)
    set_slider(page, "Opacity", "Home")
    bare = np.asarray(Image.open(image))
    np.testing.assert_array_equal(seen_pixels(page, bare.shape[:2]), bare)

    with page.expect_download() as download:
        page.locator("#download-0").click()
    kept = download.value
    kept.save_as(tmp_path / "page.png")
    (written,) = predict_files(with_dca, [image], tmp_path / "out").written
    assert kept.suggested_filename == written.name
    assert (tmp_path / "page.png").read_bytes() == written.read_bytes()


def test_probabilities_attention_and_models_side_by_side(
    open_page, address, image
):
    page = open_page(address, viewport={"width": 1280, "height": 900})
    drop_and_wait(page, image)
    wait_for_change(page, page.get_by_label("Probability").check)
    assert page.get_by_text("Probability of").count() == 2
    take_picture(page, "probability")
    # The point that is clicked on is the image's pixel there.
    picture = page.locator(PICTURE)
    box = picture.bounding_box()
    at = {"x": box["width"] * 40.5 / 48, "y": box["height"] * 10.5 / 40}
    wait_for_change(page, lambda: picture.click(position=at))
    page.get_by_text("The point at x 40, y 10").wait_for()
    page.get_by_text("plain has no Dual Cross-Attention.").wait_for()
    assert page.get_by_label("Attention", exact=True).is_checked()
    take_picture(page, "attention")
    page.get_by_role("button", name="Draw every stage and head").click()
    figure = page.get_by_alt_text("The attention of with_dca from x 40, y 10")
    figure.wait_for()
    take_picture(page, "every_stage")
    second = page.locator("#picture-1 img")
    assert second.is_visible()
    page.get_by_label("plain", exact=True).uncheck()
    second.wait_for(state="hidden")


def test_what_is_broken_stops_nothing(open_page, address, image, tmp_path):
    page = open_page(address)
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "letter.docx").write_bytes(b"Dear")
    alert = page.get_by_role("alert")
    for name in ("broken.png", "letter.docx"):
        drop(page, tmp_path / name)
        alert.get_by_text(name).first.wait_for()
    (tmp_path / "huge.png").write_bytes(b"0" * 1_500_000)
    drop(page, tmp_path / "huge.png")
    page.get_by_text("maximum").first.wait_for()
    take_picture(page, "too_large")
    drop_and_wait(page, image)
    assert alert.count() == 0


def test_everything_is_named_and_reached_by_keyboard(open_page, address):
    page = open_page(address)
    example = page.get_by_role("button", name="test-0")
    example.focus()
    page.keyboard.press("Enter")
    page.locator(PICTURE).wait_for()
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    focusable = [node for node in nodes if is_focusable(node)]
    roles = {node["role"]["value"] for node in focusable}
    assert {"button", "radio", "slider", "checkbox", "spinbutton"} <= roles
    nameless = [n for n in focusable if not n.get("name", {}).get("value")]
    assert nameless == []
    reached = []
    page.evaluate("document.activeElement.blur()")
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(ACTIVE))
        if reached.count(reached[0]) > 1:
            break
    for word in (
        *("Click to upload", "test-0", "with_dca", "Mask", "Opacity"),
        *("Download mask", "Point, x", "Point, y"),
        *("Show attention", "Draw every stage and head"),
    ):
        assert any(word in text for text in reached), (word, reached)
    page.get_by_label("Point, x").fill("40")
    page.get_by_label("Point, y").fill("10")
    page.get_by_role("button", name="Show attention").press("Enter")
    page.get_by_text("The point at x 40, y 10").wait_for()


ACTIVE = """() => {
    const e = document.activeElement;
    const named = [...(e.labels || [])].map(label => label.textContent);
    return [e.getAttribute('aria-label'), ...named, e.textContent].join(' ');
}"""


def is_focusable(node):
    return (
        not node["ignored"]
        and node["role"]["value"] != "RootWebArea"
        and any(
            p["name"] == "focusable" and p["value"]["value"]
            for p in node.get("properties", [])
        )
    )


def test_on_a_phone(open_page, address, image):
    page = open_page(
        address,
        viewport=PHONE,
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
    )

    def check(name):
        take_picture(page, f"phone_{name}")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]
        assert page.evaluate("innerWidth") <= PHONE["width"]
        assert page.evaluate(SMALL_PRINT) == []

    check("start")
    drop_and_wait(page, image)
    assert page.locator(PICTURE).bounding_box()["width"] > 300
    check("mask")
    wait_for_change(page, lambda: page.locator(PICTURE).tap())
    page.get_by_text("draws from each place").wait_for()
    check("attention")


def test_a_volume(open_page, chromium, reached, of_volumes, tmp_path):
    mask = draw_structures((11, 18, 13))
    path = save_case(tmp_path / "in" / "brain", mask, AFFINES["isotropic"])
    file = path.with_name("brain_0000.nii.gz")
    with running_page([of_volumes]) as address:
        page = open_page(address, viewport={"width": 1280, "height": 900})
        drop_and_wait(page, file)
        take_picture(page, "volume")
        (written,) = predict_files(of_volumes, [file], tmp_path / "out").written
        stored = np.asarray(nibabel.load(written).dataobj)
        seen = stored[::-1, ::-1].T  # feet to head, front to back, from right
        set_slider(page, "Opacity", "End")
        slider = page.get_by_label("range slider for Slice")
        slider.press("Home")
        for index in range(5):
            page.locator(f"{PICTURE}[alt$='slice {index}']").wait_for()
            colours = seen_pixels(page, seen.shape[1:])
            for value in (1, 2):
                np.testing.assert_array_equal(
                    (colours == COLOURS[value - 1]).all(axis=-1),
                    seen[index] == value,
                )
            slider.press("ArrowRight")
        with page.expect_download() as download:
            page.locator("#download-0").click()
        assert download.value.suggested_filename == "brain_mask.nii.gz"
        download.value.save_as(tmp_path / "page.nii.gz")
        kept = nibabel.load(tmp_path / "page.nii.gz")
        np.testing.assert_array_equal(np.asarray(kept.dataobj), stored)
        np.testing.assert_array_equal(kept.affine, nibabel.load(file).affine)
        wait_for_change(page, page.get_by_label("Probability").check)
        take_picture(page, "volume_probability")
    page.close()


def test_nothing_was_asked_of_another_computer(reached, address):
    """The process of the page, in all tests above; `open_page` has checked
    the browser."""
    assert reached == []
