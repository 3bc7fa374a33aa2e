"""Each control of the pose editor, by mouse, finger and keyboard, on a wide page and a phone's.

On a bare page (`bare.py`); `test_browser.py` has the editor in a notebook. With POSEGEN_SCREENSHOTS=FOLDER,
pictures are left there.
"""

import io
import json
import os

import numpy as np
import pytest
from bare import bare, chromium, needed
from PIL import Image

from posegen.photos.keypoints import read_openpose_json
from posegen.pose import KEYPOINTS, LIMBS, keypoint

pytestmark = needed("playwright", "anywidget")
WIDTHS = {1280: 900, 390: 844}
SHOTS = os.environ.get("POSEGEN_SCREENSHOTS")
WRIST, NECK = keypoint("right_wrist"), keypoint("neck")


class Known:
    "An estimator that finds this person in every picture but a uniform one."

    def __init__(self, pose):
        self.pose = pose

    def people(self, image):
        return [self.pose.copy()] if image.std() > 5 else []


@pytest.fixture(scope="module")
def pages():
    "The editor on two pages, wide and narrow."
    from posegen.explore import pose_editor

    with chromium() as browser:
        yield {width: bare(browser, pose_editor(), width, height) for width, height in WIDTHS.items()}


@pytest.fixture(params=WIDTHS)
def page(pages, request):
    "One of them, as at the beginning; nothing has failed on it in the end."
    page = pages[request.param]
    editor = page.widget
    for number in range(len(editor.people) - 1, editor.examples - 1, -1):
        editor.remove_photo(number)
    editor.set_pose(np.float32(editor.presets[0]["keypoints"]))
    editor.person = 0
    editor.wait()
    page.open()
    yield page
    assert not page.failures


def dot(page, joint):
    return page.centre(f"[data-joint={joint}] .dot")


def scale(page):
    return page.box(".stage-box svg")["width"] / page.widget.size


def lengths(pose):
    return np.array([np.hypot(*(pose[a, :2] - pose[b, :2])) for a, b in LIMBS])


def plus(place, x, y):
    return place[0] + x, place[1] + y


def words(page):
    return page.page.locator(".message").inner_text()


def test_limbs_keep_their_lengths_unless_told_otherwise(page):
    known = page.widget.pose
    page.drag(dot(page, "right_wrist"), plus(dot(page, "right_wrist"), -20, -60))
    assert np.allclose(lengths(page.widget.pose), lengths(known), atol=0.05)
    assert page.widget.pose[WRIST, 1] < known[WRIST, 1] - 4
    page.click("Undo")
    page.page.get_by_label("Keep limb lengths").uncheck()
    page.drag(dot(page, "right_wrist"), plus(dot(page, "right_wrist"), -20, -60))
    moved = page.widget.pose
    assert np.abs(moved - known)[np.arange(18) != WRIST].max() < 0.02
    expected = known[WRIST, :2] + np.array([-20, -60]) / scale(page)
    assert np.abs(moved[WRIST, :2] - expected).max() < 0.5


@pytest.mark.parametrize("rigid", [True, False])
@pytest.mark.parametrize("by", ["mouse", "finger", "keys"])
@pytest.mark.parametrize("handle", ["neck", "hips"])
def test_neck_and_hips_take_the_figure_along(page, rigid, by, handle):
    page.page.get_by_label("Keep limb lengths").set_checked(rigid)
    known = page.widget.pose
    css = "[data-joint=neck] .dot" if handle == "neck" else "[data-handle=figure]"
    start = page.centre(css)
    step = page.widget.size / 64  # of an arrow key
    if by == "keys":
        page.page.locator(css.removesuffix(" .dot")).focus()
        page.press(*["ArrowRight"] * 3)
    else:
        (page.drag if by == "mouse" else page.touch)(start, plus(start, 3 * step * scale(page), 0))
    assert np.abs(page.widget.pose - known - [3 * step, 0, 0]).max() < 0.3
    page.click("Undo")  # a drag, or some arrows, are one step
    assert np.abs(page.widget.pose - known).max() < 0.02


def test_the_neck_alone(page):
    known = page.widget.pose
    page.page.locator("[data-joint=neck]").focus()
    page.press("Alt+ArrowUp")
    moved = page.widget.pose
    assert np.allclose(moved[NECK], known[NECK] - [0, page.widget.size / 64, 0], atol=0.02)
    assert np.abs(moved - known)[np.arange(18) != NECK].max() < 0.02


def test_arrows_in_a_row_are_one_step(page):
    known = page.widget.pose
    page.page.get_by_label("Keep limb lengths").uncheck()
    page.page.locator("[data-joint=left_wrist]").focus()
    page.press("ArrowRight", "ArrowRight", "ArrowUp")
    page.page.locator("[data-joint=left_elbow]").focus()
    page.press("ArrowUp", "ArrowUp")
    page.press("Control+z")
    moved = page.widget.pose - known
    assert np.abs(moved[keypoint("left_elbow")]).max() < 0.02
    assert np.allclose(moved[keypoint("left_wrist")], np.array([2, -1, 0]) * page.widget.size / 64, atol=0.02)
    page.press("Control+z")
    assert np.abs(page.widget.pose - known).max() < 0.02
    assert page.page.get_by_role("button", name="Undo", exact=True).is_disabled()


def box_around(page, joints, margin=24):
    places = np.array([dot(page, joint) for joint in joints])
    return tuple(places.min(0) - margin), tuple(places.max(0) + margin)


ARM = ("left_shoulder", "left_elbow", "left_wrist")


@pytest.mark.parametrize("by", ["mouse", "finger", "shift-click", "keys"])
def test_a_selection_moves_together(page, by):
    known = page.widget.pose
    if by == "mouse" or by == "finger":
        if by == "finger":
            page.click("Box")
        # from the free place right of the arm, to its left
        (_, top), (right, bottom) = box_around(page, ARM, 30)
        left = min(dot(page, name)[0] for name in ARM) - 5
        (page.drag if by == "mouse" else page.touch)((right + 12, top), (left, bottom))
    elif by == "shift-click":
        for name in ARM:
            page.page.keyboard.down("Shift")
            page.drag(dot(page, name), dot(page, name))
            page.page.keyboard.up("Shift")
    else:
        for name in ARM:
            page.page.locator(f"[data-joint={name}]").focus()
            page.press("Space")
    chosen = page.page.locator(".joint.chosen").evaluate_all("all => all.map(one => one.dataset.joint)")
    assert set(ARM) <= set(chosen) and len(chosen) <= 5
    if by == "keys":
        page.press("Shift+ArrowRight")
        shift = page.widget.size / 16
    else:
        shift = 3
        start = dot(page, "left_elbow")
        (page.touch if by == "finger" else page.drag)(start, plus(start, scale(page) * 3, 0))
    moved = page.widget.pose - known
    inside = np.isin(KEYPOINTS, chosen)
    assert np.abs(moved[inside] - [shift, 0, 0]).max() < 0.3 and np.abs(moved[~inside]).max() < 0.02
    page.picture(SHOTS, f"selection_{by}_{page.page.viewport_size['width']}")
    page.press("Escape")
    assert not page.page.locator(".joint.chosen").count()


@pytest.mark.parametrize("by", ["mouse", "finger", "keys", "buttons"])
def test_the_figure_is_scaled_and_turned(page, by):
    known = page.widget.pose
    page.page.locator("[data-joint=neck]").focus()
    if by == "keys":
        page.press("Control+a", "-", "-")
    else:
        page.click("Whole figure")
        if by == "buttons":
            page.click("Smaller")
            page.click("Smaller")
        else:
            corner = page.centre("[data-handle=south-east]")
            (page.drag if by == "mouse" else page.touch)(corner, plus(corner, -40, -60))
    smaller = page.widget.pose
    ratio = lengths(smaller) / lengths(known)
    assert ratio.max() < 0.96 and np.ptp(ratio) < 0.02
    if by == "keys":
        page.press(".", ".")
    elif by == "buttons":
        page.click("Turn right")
        page.click("Turn right")
    else:
        handle = page.centre("[data-handle=turn]")
        away = (50, 0) if handle[1] < dot(page, "neck")[1] else (-50, 0)
        (page.drag if by == "mouse" else page.touch)(handle, plus(handle, *away))
    turned = page.widget.pose
    assert np.allclose(lengths(turned), lengths(smaller), atol=0.05)
    spine = [pose[keypoint("right_ankle"), :2] - pose[NECK, :2] for pose in (smaller, turned)]
    angles = [np.degrees(np.arctan2(*vector)) for vector in spine]
    assert 4 < angles[0] - angles[1] < 60  # clockwise: the feet go to the left
    assert turned[:, :2].min() >= 0 and turned[:, :2].max() <= page.widget.size - 1
    page.picture(SHOTS, f"figure_{by}_{page.page.viewport_size['width']}")


FACE = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")


@pytest.mark.parametrize("by", ["mouse", "finger"])
def test_the_right_joint_of_the_face_is_taken(page, by):
    "Three or four pixels off, in eight directions."
    for name in FACE:
        for angle in np.arange(0, 360, 90) + 20:
            page.widget.set_pose(np.float32(page.widget.presets[0]["keypoints"]))
            page.open()
            if by == "mouse":
                page.click("Face")
            off = 4 * np.cos(np.radians(angle)), 4 * np.sin(np.radians(angle))
            act = page.touch if by == "finger" else lambda place: page.drag(place, place)
            act(plus(dot(page, name), *off))
            if by == "finger":
                taken = page.page.evaluate("document.activeElement.dataset.joint ?? null")
                assert taken in (None, name)  # never another one
                if taken is None:
                    assert "Closer to the face" in words(page)
                    act(plus(dot(page, name), *off))
            assert page.page.evaluate("document.activeElement.dataset.joint") == name
    page.picture(SHOTS, f"face_{by}_{page.page.viewport_size['width']}")
    click = page.page.get_by_role("button", name="Face", exact=True)
    assert click.get_attribute("aria-pressed") == "true"
    known = page.widget.pose
    enlarged = page.page.evaluate("1000 / document.querySelector('.stage-box svg').viewBox.baseVal.width")
    assert enlarged > 3
    page.page.get_by_label("Keep limb lengths").uncheck()
    start = dot(page, "nose")
    page.drag(start, plus(start, 2 * scale(page) * enlarged, 0))
    assert np.allclose(page.widget.pose[0] - known[0], [2, 0, 0], atol=0.1)
    click.click()
    assert click.get_attribute("aria-pressed") == "false"


def test_tools_are_within_reach(page):
    "Stage and tools on one screen, and no tool beside the page; many photos push nothing away."

    def tools():
        return page.box(".tools"), page.box(".stage-box"), page.box(".joint-bar")

    height = WIDTHS[page.page.viewport_size["width"]]
    before = tools()
    assert before[0]["y"] >= 0 and max(box["y"] + box["height"] for box in before) < min(height, 700)
    for button in page.page.locator(".tools button").all():
        box = button.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= page.page.viewport_size["width"]
    rows = page.box(".poses-row")["y"]
    editor = page.widget
    with_photos = {"people": editor.people * 6, "people_names": editor.people_names * 6}
    with_photos |= {"people_poses": editor.people_poses * 6}
    known = {name: getattr(editor, name) for name in with_photos}
    for name, value in with_photos.items():
        setattr(editor, name, value)
    page.open()
    assert page.page.locator(".photo .choice").count() == 36
    assert tools() == before and page.box(".poses-row")["y"] == rows
    page.picture(SHOTS, f"many_{page.page.viewport_size['width']}")
    for name, value in known.items():
        setattr(editor, name, value)


def photo_of(page, tmp_path, name="me.png"):
    "A larger photo of an example, whose pose is known."
    editor = page.widget
    sitter = editor.sitters[1]
    picture = Image.fromarray(sitter.picture).resize((256, 256), Image.Resampling.BICUBIC)
    picture.save(tmp_path / name)
    editor.transfer.estimator = Known(sitter.keypoints * np.float32([4, 4, 1]) + np.float32([2, 2, 0]))
    return tmp_path / name


def test_a_photo_comes_and_goes(page, tmp_path):
    editor = page.widget
    assert not page.page.get_by_role("button", name="Remove this photo").is_visible()
    page.page.locator(".photo input[type=file]").set_input_files(photo_of(page, tmp_path))
    page.page.locator("[aria-label='Person: me.png'][aria-pressed=true]").wait_for()
    page.settled()
    before = editor.pose
    page.click("Start from this photo's pose")
    assert np.array_equal(editor.pose, editor.sitters[6].keypoints)
    # it lies behind, in the same frame as the skeleton
    assert page.page.get_by_label("Behind the skeleton").input_value() == "photo"
    stage, shown = page.box(".stage-box svg"), page.box(".backdrop img")
    assert all(abs(stage[side] - shown[side]) < 0.6 for side in stage)
    page.picture(SHOTS, f"photo_{page.page.viewport_size['width']}")
    page.click("Undo")
    assert np.allclose(editor.pose, before, atol=0.01)
    page.click("Remove this photo")
    assert len(editor.people) == 6 == page.page.locator(".photo .choice").count() and editor.person == 5
    assert page.page.locator(".photo .choice[aria-pressed=true]").count() == 1


def test_a_pose_from_a_photo_shows_it(page, tmp_path):
    page.page.locator(".poses-row input[type=file]").set_input_files(photo_of(page, tmp_path))
    page.page.wait_for_function("document.querySelector('.pose-editor select').value === 'pose'")
    page.settled()
    page.click("Pose: arms raised")
    page.widget.set_pose(np.float32(page.widget.presets[0]["keypoints"]))
    assert page.widget.pose_picture == b""


def test_what_was_wrong_is_said_once(page, tmp_path):
    "Of the photo by its own name, until the next action, and not again after a reload."
    page.widget.transfer.estimator = Known(page.widget.pose)
    Image.new("RGB", (80, 80), "grey").save(tmp_path / "noise.png")
    chooser = page.page.locator(".photo input[type=file]")
    for action in (
        lambda: page.click("Mirror"),
        lambda: page.click("Person: " + page.widget.people_names[3]),
    ):
        chooser.set_input_files(tmp_path / "noise.png")
        page.page.get_by_text("No person was found in noise.png").wait_for()
        action()
        assert words(page) == ""
    chooser.set_input_files(tmp_path / "noise.png")
    page.page.get_by_text("No person was found in noise.png").wait_for()
    page.open()
    assert words(page) == "" and page.widget.message == ""
    (tmp_path / "nobody.json").write_text('{"people": []}')
    page.page.locator(".poses-row input[type=file]").set_input_files(tmp_path / "nobody.json")
    page.page.get_by_text("nobody.json holds no person").wait_for()
    assert "leave the image out" not in words(page)


def test_hidden_says_what_it_is_for(page):
    page.page.locator("[data-joint=right_wrist]").focus()
    page.press("h")
    assert page.page.get_by_text("confidence 0.5").is_visible() and page.widget.pose[WRIST, 2] == 0.5
    page.press("h")
    assert not page.page.get_by_text("confidence 0.5").is_visible()


def saved(page, tmp_path, button):
    with page.page.expect_download() as download:
        page.page.get_by_role("button", name=button, exact=True).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_files(page, tmp_path):
    size = page.widget.size
    keypoints = saved(page, tmp_path, "Keypoints")
    known = json.loads(keypoints.read_text())
    assert (known["canvas_width"], known["canvas_height"]) == (size, size)
    assert np.allclose(read_openpose_json(keypoints), page.widget.pose, atol=0.01)
    skeleton = np.array(Image.open(saved(page, tmp_path, "Skeleton")))
    assert len(skeleton) >= 512 and not skeleton[0, 0].any() and 0.005 < (skeleton > 0).any(2).mean() < 0.2
    picture = np.array(Image.open(io.BytesIO(saved(page, tmp_path, "PNG").read_bytes())))
    assert np.array_equal(picture, page.widget.full_picture())


def test_where_there_is_no_room(page):
    "In a sliver, beside an open sidebar, the editor offers the whole page, and comes back."
    page.page.evaluate("document.querySelector('#place').style.width = '70px'")
    page.page.get_by_role("button", name="Open the pose editor on the whole page").click()
    assert page.box(".pose-editor")["width"] == page.page.viewport_size["width"]
    known = page.widget.pose
    page.page.wait_for_timeout(100)
    page.drag(dot(page, "right_wrist"), plus(dot(page, "right_wrist"), -20, -30))
    assert not np.array_equal(page.widget.pose, known)
    page.press("Escape")
    page.page.get_by_role("button", name="Open the pose editor on the whole page").wait_for()
    page.page.evaluate("document.querySelector('#place').style.width = ''")
    page.page.locator(".stage-box").wait_for()
    page.click("Whole page")
    page.click("Whole page")


def test_a_first_drag_upwards_keeps_the_arm(page):
    "Every wrist and height: no forearm longer than it was, none shorter in the picture's plane than possible."
    known = page.widget.pose
    for wrist in ("right_wrist", "left_wrist"):
        for up in (40, 120, 250):
            page.drag(dot(page, wrist), plus(dot(page, wrist), 0, -up))
            moved = page.widget.pose
            assert np.allclose(lengths(moved), lengths(known), atol=0.1), (wrist, up)
            assert moved[keypoint(wrist), 1] < known[keypoint(wrist), 1] - 1, (wrist, up)
            page.click("Undo")
